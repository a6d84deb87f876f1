"""The page of `vae-run explore` in a real headless Chromium. Needs chromium, node and npm, so it
runs in .ci/run.
"""

import os
import shutil
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vae_runtime
from vae_runtime.explore import open_server

pytestmark = pytest.mark.install
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def test_mouse_touch_keyboard_files_and_both_schemes(
    digits: vae_runtime.VAE, test_images: np.ndarray, tmp_path: Path
) -> None:
    assert CHROMIUM, "apt-get install chromium"
    subprocess.run(
        [
            "npm",
            "install",
            "--no-audit",
            "--no-fund",
            "--prefix",
            str(tmp_path),
            "playwright-core@1",
        ],
        check=True,
        timeout=300,
    )
    Image.fromarray(test_images[0]).save(tmp_path / "digit.png")
    environment = os.environ | {
        "PLAYWRIGHT": str(tmp_path / "node_modules" / "playwright-core"),
        "CHROMIUM": str(CHROMIUM),
    }
    with open_server(digits) as server:
        threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        ).start()
        script = Path(__file__).with_name("browser.mjs")
        done = subprocess.run(
            ["node", str(script), server.url, str(tmp_path / "digit.png"), str(tmp_path)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=180,
        )
        server.shutdown()
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)
