"""The page of examples/browser, built and written by `vae-run explore --static`, in a real headless
Chromium. Needs chromium, node and npm, so it runs in .ci/run.
"""

import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.bindings.conftest import ROOT, npm

import vae_runtime
from vae_runtime.arrays import to_uint8
from vae_runtime.bundle.packing import packed
from vae_runtime.explore import calls
from vae_runtime.latent.novelty import yardstick
from vae_runtime.latent.scores import relative_scores
from vae_runtime.vae import EMBEDDED_BUNDLE, VAE

pytestmark = pytest.mark.install
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PHOTOGRAPHS = ("photo_three.jpg", "photo_seven.jpg", "photo_eight.jpg", "three.png")
PLACES = ([0.0, 0.0], [1.25, -0.4], [-2.0, 2.5], [0.3, 3.0])
COLOR = ROOT / "tests" / "runtime" / "data" / "color.vae"
SOURCES = ("runtime/vae_runtime/explore", "bindings/js/src", "examples/browser")
# The page's own files without onnxruntime's WebAssembly, which docs/browser.md states too.
MAX_PAGE_BYTES = 150_000
MAX_WASM_BYTES = 14_500_000


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """examples/browser in a copy of the repository, built, with playwright."""
    root = tmp_path_factory.mktemp("page")
    for source in SOURCES:
        unwanted = shutil.ignore_patterns("node_modules", "dist", "__pycache__")
        shutil.copytree(ROOT / source, root / source, ignore=unwanted)
    folder = root / "examples" / "browser"
    build, _ = _commands()
    subprocess.run(["bash", "-ec", build], cwd=root, check=True, timeout=600)
    npm(folder, "install", "--no-save", "--no-audit", "--no-fund", "playwright-core@1")
    return folder


def test_the_page_gives_what_python_gives_and_works_offline(built: Path, tmp_path: Path) -> None:
    assert CHROMIUM, "apt-get install chromium"
    site = tmp_path / "site"
    shutil.copytree(EMBEDDED_BUNDLE, tmp_path / "digits.vae")
    write = shlex.split(_commands()[1].splitlines()[0])
    assert write[0] == "vae-run"
    command = [sys.executable, "-m", "vae_runtime", *write[1:], "--page", str(built / "dist")]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=120)
    _add_bundle_of_both_precisions(site / "both.vae")
    shutil.copytree(COLOR, site / "color.vae")
    golden = tmp_path / "golden.json"
    golden.write_text(json.dumps(_golden(tmp_path)))
    environment = os.environ | {
        "PLAYWRIGHT": str(built / "node_modules" / "playwright-core"),
        "CHROMIUM": str(CHROMIUM),
    }
    script = Path(__file__).with_name("page.mjs")
    done = subprocess.run(
        ["node", str(script), str(site), str(golden), str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)
    _check_what_was_loaded(done.stdout)


def _golden(folder: Path) -> dict[str, Any]:
    vae = vae_runtime.load(provider="cpu")
    fields = {"z": [0, 0], "axes": [0, 1], "reach": 3, "cells": 15, "fade": True}
    plane = calls.plane(vae, calls.Request(json.dumps(fields).encode()))
    (folder / "digits.zip").write_bytes(packed(EMBEDDED_BUNDLE))
    color = vae_runtime.load(COLOR, provider="cpu")
    center = to_uint8(color.decode(np.zeros(3)))[0]
    return {
        "color": center.transpose(1, 2, 0).ravel().tolist(),
        "colorVerdict": _photograph(color, PHOTOGRAPHS[0])["verdict"],
        "decoded": [{"z": z, "image": _pixels(vae.decode(z))} for z in PLACES],
        "plane": np.asarray(Image.open(io.BytesIO(plane.body))).ravel().tolist(),
        "photographs": [_photograph(vae, name) for name in PHOTOGRAPHS],
        "zip": str(folder / "digits.zip"),
    }


def _photograph(vae: VAE, name: str) -> dict[str, Any]:
    path = ROOT / "examples" / "pictures" / name
    image = vae.read(path)
    score = vae.score(image)
    judged = relative_scores(score, image, vae.bundle.likelihood)
    return {
        "path": str(path),
        "image": _pixels(image),
        "rebuilt": _pixels(vae.reconstruct(image)),
        "score": float(score[0]),
        "verdict": calls.verdict(float(judged[0]), yardstick(vae.variant)),
    }


def _pixels(images: Any) -> list[int]:
    return to_uint8(images).ravel().tolist()


def _add_bundle_of_both_precisions(path: Path) -> None:
    """The embedded bundle with its graphs as a second variant that says int8."""
    shutil.copytree(EMBEDDED_BUNDLE, path)
    manifest = json.loads((path / "bundle.json").read_text())
    manifest["variants"].append(manifest["variants"][0] | {"name": "int8", "precision": "int8"})
    (path / "bundle.json").write_text(json.dumps(manifest))


def _check_what_was_loaded(printed: str) -> None:
    """The page, its WebAssembly and the graphs that run alone, as large as the manual says."""
    found = re.search(r"^loaded (.*)$", printed, re.M)
    assert found
    sizes: dict[str, int] = json.loads(found[1])
    bundle = {name: size for name, size in sizes.items() if name.startswith("model.vae/")}
    assert {Path(name).name for name in bundle} == {
        "bundle.json",
        "encoder.onnx",
        "decoder.onnx",
    }
    wasm = sum(size for name, size in sizes.items() if name.endswith(".wasm"))
    page = sum(sizes.values()) - wasm - sum(bundle.values())
    assert 0 < wasm <= MAX_WASM_BYTES
    assert 0 < page <= MAX_PAGE_BYTES
    stated = re.search(r"page (\d+) KB, onnxruntime ([\d.]+) MB", _manual())
    assert stated
    assert abs(page / 1e3 - int(stated[1])) <= 5
    assert abs(wasm / 1e6 - float(stated[2])) <= 0.3


def _commands() -> list[str]:
    """What the manual says to run: to build the page, and to write it."""
    blocks = re.findall(r"^```text\n(.*?)^```", _manual(), re.M | re.DOTALL)
    assert len(blocks) == 2
    return blocks


def _manual() -> str:
    return (ROOT / "docs" / "browser.md").read_text("utf-8")
