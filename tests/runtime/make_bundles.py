"""Make the two small bundles in `data`: untrained, but exported from torch like any other. Needs the [export] extra.

Usage: python tests/runtime/make_bundles.py
"""

import shutil
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from vae_export import export_bundle
from vae_runtime.bundle import Likelihood
from vae_runtime.idx import read_idx

HERE = Path(__file__).parent


class Encoder(nn.Module):
    def __init__(self, pixels: int, dim: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(pixels, 8), nn.ReLU())
        self.mean, self.log_var = nn.Linear(8, dim), nn.Linear(8, dim)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        x = self.body(image)
        return self.mean(x), self.log_var(x)


def decoder(shape: tuple[int, int, int], dim: int) -> nn.Module:
    pixels = shape[0] * shape[1] * shape[2]
    return nn.Sequential(nn.Linear(dim, 8), nn.Tanh(), nn.Linear(8, pixels), nn.Sigmoid(), nn.Unflatten(1, shape))


def make(name: str, shape: tuple[int, int, int], dim: int, likelihood: Likelihood, **known: object) -> None:
    torch.manual_seed(0)
    target = HERE / "data" / name
    shutil.rmtree(target, ignore_errors=True)
    encoder = Encoder(shape[0] * shape[1] * shape[2], dim)
    export_bundle(
        encoder, decoder(shape, dim), image_shape=shape, latent_dim=dim, output=target, likelihood=likelihood, **known
    )


sample = HERE.parent / "data" / "mnist"
images, labels = (read_idx(sample / f"t10k-{part}-ubyte.gz") for part in ("images-idx3", "labels-idx1"))
make("tiny.vae", (1, 28, 28), 2, Likelihood(), images=images[:, None], labels=labels.tolist())
colours = np.random.default_rng(0).random((64, 3, 16, 16), np.float32)
make("colour.vae", (3, 16, 16), 3, Likelihood("gaussian", (-2.0, -2.5, -3.0)), images=colours)
