"""Make the two small bundles in `data`: untrained, but exported from torch like any other.

Usage: python -m tests.runtime.make_bundles, with the [export] extra installed.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import torch
from tests.export.toys import dense_encoder
from torch import nn

from vae_export import export_bundle
from vae_runtime.arrays import ImageShape
from vae_runtime.bundle import Likelihood
from vae_runtime.formats.idx import read_idx

HIDDEN = 8
BUNDLES = Path(__file__).parent / "data"
MNIST_SAMPLE = Path(__file__).parents[1] / "data" / "mnist"


def main() -> None:
    make_tiny(BUNDLES / "tiny.vae")
    make_color(BUNDLES / "color.vae")


def make_tiny(target: Path) -> None:
    """Gray digits, two latents, labels."""
    shape = (1, 28, 28)
    images = read_idx(MNIST_SAMPLE / "t10k-images-idx3-ubyte.gz")[:, None]
    labels = read_idx(MNIST_SAMPLE / "t10k-labels-idx1-ubyte.gz")
    encoder, decoder = networks(shape, latent_dim=2)
    shutil.rmtree(target, ignore_errors=True)
    export_bundle(
        encoder,
        decoder,
        image_shape=shape,
        latent_dim=2,
        output=target,
        images=images,
        labels=labels.tolist(),
    )


def make_color(target: Path) -> None:
    """Images with three channels, three latents, a Gaussian likelihood, no labels."""
    shape = (3, 16, 16)
    images = np.random.default_rng(0).random((64, *shape), np.float32)
    encoder, decoder = networks(shape, latent_dim=3)
    shutil.rmtree(target, ignore_errors=True)
    export_bundle(
        encoder,
        decoder,
        image_shape=shape,
        latent_dim=3,
        output=target,
        likelihood=Likelihood("gaussian", (-2.0, -2.5, -3.0)),
        images=images,
    )


def networks(shape: ImageShape, latent_dim: int) -> tuple[nn.Module, nn.Module]:
    """An encoder and a decoder whose weights are the same at every call."""
    torch.manual_seed(0)
    encoder = dense_encoder(shape, latent_dim, HIDDEN, nn.ReLU())
    decoder = nn.Sequential(
        nn.Linear(latent_dim, HIDDEN),
        nn.Tanh(),
        nn.Linear(HIDDEN, int(np.prod(shape))),
        nn.Sigmoid(),
        nn.Unflatten(1, shape),
    )
    return encoder, decoder


if __name__ == "__main__":
    main()
