"""Small encoders and decoders of many kinds, for tests and for the small test bundles."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from vae_export.graphs import export_graph
from vae_runtime.arrays import ImageShape

MakeModule = Callable[[], nn.Module]


class TwoHeads(nn.Module):
    """An encoder: the features (N, width) of `body` -> z_mean and z_log_var."""

    def __init__(self, body: nn.Module, width: int, latent_dim: int) -> None:
        super().__init__()
        self.body = body
        self.mean = nn.Linear(width, latent_dim)
        self.log_var = nn.Linear(width, latent_dim)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        features = self.body(image)
        return self.mean(features), self.log_var(features)


class Residual(nn.Module):
    def __init__(self, channels: int, norm: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), norm, nn.SiLU())

    def forward(self, x: Tensor) -> Tensor:
        sum_: Tensor = x + self.layers(x)
        return sum_


def dense_encoder(
    shape: ImageShape, latent_dim: int, width: int, activation: nn.Module
) -> TwoHeads:
    """One hidden layer."""
    body = nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(shape)), width), activation)
    return TwoHeads(body, width, latent_dim)


def dense_vae(
    shape: ImageShape, latent_dim: int, width: int = 64
) -> tuple[TwoHeads, nn.Sequential]:
    """An encoder and a decoder with a hidden layer."""
    encoder = dense_encoder(shape, latent_dim, width, nn.Tanh())
    decoder = nn.Sequential(
        nn.Linear(latent_dim, width),
        nn.ELU(),
        nn.Linear(width, int(np.prod(shape))),
        nn.Sigmoid(),
        nn.Unflatten(1, shape),
    )
    return encoder, decoder


def convolutional_vae(
    shape: ImageShape, latent_dim: int, norm: MakeModule, upsample: MakeModule
) -> tuple[TwoHeads, nn.Sequential]:
    """Two stages of 16 channels, each half or twice as large as the one before."""
    channels, height, width = shape
    small = (16, height // 4, width // 4)
    features = int(np.prod(small))
    body = nn.Sequential(
        nn.Conv2d(channels, 16, 3, stride=2, padding=1),
        norm(),
        nn.ReLU(),
        nn.Conv2d(16, 16, 3, stride=2, padding=1),
        norm(),
        nn.LeakyReLU(0.1),
        Residual(16, norm()),
        nn.Dropout(0.5),
        nn.Flatten(),
    )
    decoder = nn.Sequential(
        nn.Linear(latent_dim, features),
        nn.Unflatten(1, small),
        Residual(16, norm()),
        upsample(),
        norm(),
        nn.GELU(),
        upsample(),
        nn.ReLU(),
        nn.Conv2d(16, channels, 3, padding=1),
        nn.Sigmoid(),
    )
    return TwoHeads(body, features, latent_dim), decoder


def nearest() -> nn.Module:
    return nn.Sequential(
        nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(16, 16, 3, padding=1)
    )


def bilinear() -> nn.Module:
    upsample = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
    return nn.Sequential(upsample, nn.Conv2d(16, 16, 3, padding=1))


def transposed(kernel: int, padding: int, extra: int = 0) -> MakeModule:
    def make() -> nn.Module:
        return nn.ConvTranspose2d(16, 16, kernel, stride=2, padding=padding, output_padding=extra)

    return make


def batch_norm() -> nn.Module:
    return nn.BatchNorm2d(16)


def group_norm() -> nn.Module:
    return nn.GroupNorm(4, 16)


def traced_decoder(*layers: nn.Module) -> onnx.ModelProto:
    """A traced decoder of 2 latents: a dense layer to (16, 8, 8), then these layers."""
    torch.manual_seed(0)
    first = (nn.Linear(2, 1024), nn.ReLU(), nn.Unflatten(1, (16, 8, 8)))
    decoder = nn.Sequential(*first, *layers).eval()
    return export_graph(decoder, (2,), "z", ["image"], {"precision": "fp32"})
