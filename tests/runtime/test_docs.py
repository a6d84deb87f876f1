"""Every snippet of docs/runtime.md runs as it stands."""

import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.runtime.helpers import zipped

from vae_runtime.vae import EMBEDDED_BUNDLE

PAGE = Path(__file__).parents[2] / "docs" / "runtime.md"
SNIPPETS = re.findall(r"^```(python|sh)\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)
PYTHON = [code for language, code in SNIPPETS if language == "python"]
COMMANDS = [line for language, code in SNIPPETS if language == "sh" for line in code.splitlines()]
# What a snippet that only defines a service is asked, by the package that it needs.
REQUESTS = {
    "flask": """
client = app.test_client()
assert client.get("/digit/4.png").data.startswith(b"\\x89PNG")
assert client.get("/digit/x.png").status_code == 404
""",
    "fastapi": """
from fastapi.testclient import TestClient
client = TestClient(app)
assert len(client.post("/score", json={"pixels": np.zeros((2, 28, 28)).tolist()}).json()) == 2
assert client.post("/score", json={"pixels": [[[2.0]]]}).status_code == 422
""",
}


@pytest.fixture
def folder(tmp_path: Path, test_images: np.ndarray) -> Path:
    """Where a reader of the page would be: two images and two folders of five."""
    names = ["digit", "other"]
    for folder in ("inbox", "plain"):
        (tmp_path / folder).mkdir()
        names += [f"{folder}/{i}" for i in range(5)]
    for name, image in zip(names, test_images, strict=False):
        Image.fromarray(image).save(tmp_path / f"{name}.png")
    zipped(EMBEDDED_BUNDLE, tmp_path / "digits.vae")
    return tmp_path


@pytest.mark.parametrize("code", PYTHON, ids=range(len(PYTHON)))
def test_a_python_snippet_runs(code: str, folder: Path) -> None:
    for package, requests in REQUESTS.items():
        if f"from {package} " in code:
            if not importlib.util.find_spec(package):
                pytest.skip(f"{package} is not installed")
            code += requests
    (folder / "snippet.py").write_text(code, "utf-8")
    done = subprocess.run(
        [sys.executable, "snippet.py"], cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_commands_run_in_their_order(folder: Path) -> None:
    for line in COMMANDS:
        program, *arguments = shlex.split(line)
        assert program == "vae-run"
        done = subprocess.run(
            [sys.executable, "-m", "vae_runtime", *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, (line, done.stderr)
        if "-o" in arguments:
            assert (folder / arguments[arguments.index("-o") + 1]).stat().st_size


def test_every_command_is_on_the_page() -> None:
    from vae_runtime.cli import COMMANDS as KNOWN

    shown = PAGE.read_text("utf-8")
    assert [name for name in KNOWN if f"vae-run {name}" not in shown] == []


def test_the_readmes_first_commands_run(tmp_path: Path) -> None:
    root = PAGE.parents[1]
    readme = (root / "README.md").read_text("utf-8")
    (block,) = re.findall(r"^```sh\n(.*?)^```$", readme, re.M | re.S)
    (tmp_path / "examples").symlink_to(root / "examples")
    # The page waits for a browser; it has tests of its own.
    lines = [line for line in block.splitlines() if line != "vae-run explore"]
    assert len(lines) == 3
    for line in lines:
        _, *arguments = shlex.split(line)
        command = [sys.executable, "-m", "vae_runtime", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, ""), line
        assert (tmp_path / arguments[-1]).stat().st_size
