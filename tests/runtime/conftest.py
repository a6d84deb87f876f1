"""Bundles to run. Nothing in this folder may import torch or onnx: it is also run where they aren't
installed.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.runtime.helpers import DATA, Run

import vae_runtime
from vae_runtime.formats.idx import read_idx


@pytest.fixture(scope="session")
def digits() -> vae_runtime.VAE:
    """The embedded model."""
    return vae_runtime.load(provider="cpu")


@pytest.fixture(scope="session")
def tiny() -> vae_runtime.VAE:
    """28×28 gray, two latent dimensions, labels; untrained."""
    return vae_runtime.load(DATA / "tiny.vae", provider="cpu")


@pytest.fixture(scope="session")
def color() -> vae_runtime.VAE:
    """3×16×16, three latent dimensions, Gaussian, no labels; untrained."""
    return vae_runtime.load(DATA / "color.vae", provider="cpu")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A copy of tiny.vae to damage."""
    return Path(shutil.copytree(DATA / "tiny.vae", tmp_path / "copy.vae"))


@pytest.fixture(scope="session")
def test_images(sample_folder: Path) -> NDArray[np.uint8]:
    """300 real test images (300, 28, 28)."""
    return read_idx(sample_folder / "t10k-images-idx3-ubyte.gz")


@pytest.fixture
def vae_run(tmp_path: Path) -> Run:
    """Run `vae-run` as a process in an empty folder."""

    def run(*arguments: object) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "vae_runtime", *map(str, arguments)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)

    return run
