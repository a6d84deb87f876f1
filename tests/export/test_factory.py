"""Somebody else's VAE, named on the command line as package.module:factory."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.export.processes import run_export

import vae_runtime
from vae_export.__main__ import main
from vae_runtime.arrays import UInt8

SHAPE = ("--image-shape", "1,8,8", "--latent-dim", "3")
# A module in the current folder, as a user has it.
MINE = """
import torch
from torch import nn

class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.outer = nn.Linear(64, 6), nn.Linear(3, 64)
    def encode(self, x):
        return self.inner(x.flatten(1)).chunk(2, 1)
    def decode(self, z):
        return self.outer(z).sigmoid().unflatten(1, (1, 8, 8))

def make():
    return Small()

def number():
    return 7

def pair():
    vae = Small()
    return nn.Sequential(nn.Flatten(), vae.inner), Decoder(vae.outer)

class Decoder(nn.Module):
    def __init__(self, outer):
        super().__init__()
        self.outer = outer
    def forward(self, z):
        return self.outer(z).sigmoid()

def broken():
    return {}["no such key"]
"""
# A script that reads its command line while it is imported.
SCRIPT = """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("data")
parser.parse_args()
"""


@pytest.mark.slow
def test_a_factory_with_weights(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    state = {
        "inner.weight": torch.randn(6, 64),
        "inner.bias": torch.zeros(6),
        "outer.weight": torch.randn(64, 3),
        "outer.bias": torch.zeros(64),
    }
    torch.save(state, tmp_path / "weights.pt")
    done = run_export("mine:make", "--weights", "weights.pt", *SHAPE, "-o", "m.vae", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    z = np.ones((1, 3), np.float32)
    expected = torch.sigmoid(torch.from_numpy(z) @ state["outer.weight"].T).numpy()
    with vae_runtime.load(tmp_path / "m.vae", provider="cpu") as vae:
        np.testing.assert_allclose(vae.decode(z).reshape(1, -1), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["mine:make"], 2),
        (["mine:make", "--image-shape", "1,8", "--latent-dim", "3"], 2),
        (["mine:make", "--image-shape", "1,9,9", "--latent-dim", "3"], 1),
        (["mine:make", "--image-shape", "1,8,8", "--latent-dim", "4"], 1),
        (["mine:number", *SHAPE], 1),
        (["mine:broken", *SHAPE], 1),
        (["script:make", *SHAPE], 1),
        (["mine:make", *SHAPE, "--image-range", "1,0"], 2),
        (["mine:make", *SHAPE, "--encoder-outputs", "1"], 2),
        (["mine:make", *SHAPE, "--labels", "labels.txt"], 2),
        (["mine:make", *SHAPE, "--likelihood", "gaussian"], 2),
        (["mine:none", *SHAPE], 1),
        (["nowhere:make", *SHAPE], 1),
        (["mine:make", "--weights", "none.pt", *SHAPE], 1),
    ],
    ids=str,
)
def test_a_factory_that_does_not_fit_is_one_line(
    tmp_path: Path,
    one_line: Callable[..., tuple[int, str]],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    status: int,
) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "script.py").write_text(SCRIPT)
    monkeypatch.delitem(sys.modules, "script", raising=False)
    # An earlier test's module of this name was in another folder.
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    assert one_line(main, *arguments)[0] == status
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".vae"] == []


@pytest.mark.slow
def test_a_pair_with_labels_and_a_measured_likelihood(tmp_path: Path, digits: UInt8) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    images = digits[:64, :, 10:18, 10:18].astype(np.float32) / 255
    np.save(tmp_path / "images.npy", images)
    (tmp_path / "labels.txt").write_text("\n".join(["even", "odd"] * 32))
    options = ["--calibration", "images.npy", "--labels", "labels.txt", "--likelihood", "gaussian"]
    done = run_export(
        "mine:pair", "--image-shape", "1,8,8", *options, "--fit", "crop", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "latents: (3)" in done.stdout
    with vae_runtime.load(tmp_path / "pair.vae", provider="cpu") as vae:
        assert list(vae.labels) == ["odd", "even"]
        assert vae.bundle.preprocess.fit == "crop"
        assert vae.bundle.likelihood.name == "gaussian"
        error = np.square(vae.reconstruct(images) - images).mean()
        assert vae.bundle.likelihood.log_var == pytest.approx((np.log(error),), abs=1e-3)
