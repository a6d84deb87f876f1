"""The networks: the VAE of "Deep Learning with R", section 8.4, and two with a deeper decoder.

`same` padding is Keras's: a stride-2 convolution on an even size pads only below and to the right,
and a stride-2 transposed convolution drops the last row and column of its full output.

The rule by which both networks grow with the image: it is halved until its sides are at most
`max_side` pixels, so with 16, 28×28 gets the book's one stride-2 stage, 64×64 two and 128×128
three.
At 28×28×1 and latent_dim 2 `reference` is the book's network, layer for layer (encoder 494,244
parameters, decoder 56,385).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from vae_runtime.arrays import ImageShape
from vae_runtime.bundle import LikelihoodName
from vae_runtime.errors import VAEError
from vae_train.cell_head import CellCodes, CellHead
from vae_train.config import NetworksName
from vae_train.continuous_bernoulli import mean_of_logits
from vae_train.cpu_convolutions import LastConv, UpConv

FIRST_LOG_VAR = -3.0


class Encoder(nn.Module):
    """image (N, C, H, W) in [0, 1] -> z_mean, z_log_var, each (N, latent_dim)."""

    def __init__(self, body: nn.Sequential, width: int, latent_dim: int) -> None:
        super().__init__()
        self.body = body
        self.z_mean = nn.Linear(width, latent_dim)
        self.z_log_var = nn.Linear(width, latent_dim)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        x = self.body(image)
        return self.z_mean(x), self.z_log_var(x)


class CellEncoder(Encoder):
    """An encoder with a second head, a CellHead, from which it answers once `chooses_cells` is set.

    The first head is for training by the ELBO, through which a choice of cells can't be learned.
    Which one answers is kept with the weights.
    """

    def __init__(self, body: nn.Sequential, width: int, latent_dim: int) -> None:
        super().__init__(body, width, latent_dim)
        self.cell_head = CellHead(width, latent_dim)
        self.chooses_cells = False

    def codes(self, image: Tensor) -> CellCodes:
        """What the second head says of all cells."""
        return self.cell_head.codes(self.body(image))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        if self.chooses_cells:
            return self.codes(image).chosen()
        return super().forward(image)

    def get_extra_state(self) -> Tensor:
        """For torch's state_dict."""
        return torch.tensor(self.chooses_cells)

    def set_extra_state(self, state: Tensor) -> None:
        """For torch's load_state_dict."""
        self.chooses_cells = bool(state)


class Decoder(nn.Module):
    """z (N, latent_dim) -> image (N, C, H, W) in [0, 1].

    The image is the mean of p(image | z), `logits` what that is computed from: by the sigmoid, or
    as that of a continuous Bernoulli distribution.
    """

    def __init__(self, body: nn.Sequential) -> None:
        super().__init__()
        self.body = body
        self.mean: Callable[[Tensor], Tensor] = torch.sigmoid

    def logits(self, z: Tensor) -> Tensor:
        result: Tensor = self.body(z)
        return result

    def forward(self, z: Tensor) -> Tensor:
        return self.mean(self.logits(z))


class VAE(nn.Module):
    """An encoder and a decoder that share a latent space.

    Weights are Glorot-uniform at first, biases zero. `log_var` (C,) is the log variance of a
    Gaussian likelihood, learned; None for the others.
    """

    def __init__(
        self, encoder: Encoder, decoder: Decoder, likelihood: LikelihoodName, channels: int
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.likelihood = likelihood
        self.log_var: nn.Parameter | None = None
        if likelihood == "gaussian":
            self.log_var = nn.Parameter(torch.full((channels,), FIRST_LOG_VAR))
        if likelihood == "continuous_bernoulli":
            decoder.mean = mean_of_logits
        self.apply(_initialize)

    @property
    def latent_dim(self) -> int:
        return self.encoder.z_mean.out_features


class Halvings(NamedTuple):
    """How often an image is halved, and its height and width then."""

    stages: int
    height: int
    width: int


@dataclass(frozen=True)
class Networks:
    """How a pair of networks is built, and down to which side it halves the image."""

    build: Callable[[ImageShape, int, Halvings], tuple[Encoder, Decoder]]
    max_side: int


def build_vae(
    image_shape: ImageShape,
    latent_dim: int,
    seed: int,
    networks: NetworksName = "reference",
    likelihood: LikelihoodName = "bernoulli",
) -> VAE:
    """A freshly initialized VAE; the same seed gives the same weights.

    torch's own random state is left alone.

    Raises VAEError for an image size that the halvings don't divide.
    """
    kind = NETWORKS[networks]
    halved = halvings(image_shape, kind.max_side)
    with torch.random.fork_rng(devices=[]):
        # torch.manual_seed would seed CUDA as well.
        torch.default_generator.manual_seed(seed)
        encoder, decoder = kind.build(image_shape, latent_dim, halved)
        return VAE(encoder, decoder, likelihood, channels=image_shape[0])


def require_size(image_shape: ImageShape, networks: NetworksName) -> None:
    """Raise VAEError for an image size that the networks' halvings don't divide."""
    halvings(image_shape, NETWORKS[networks].max_side)


def halvings(image_shape: ImageShape, max_side: int) -> Halvings:
    """How often the image is halved, at least once, until its sides are at most `max_side`.

    Raises VAEError, with the nearest size that would do, when the sides can't be halved that often.
    """
    _, height, width = image_shape
    stages = 1
    while max(height, width) > max_side << stages:
        stages += 1
    step = 1 << stages
    if height % step or width % step:
        near_height = max(1, height // step) * step
        near_width = max(1, width // step) * step
        raise VAEError(
            f"images of {height}×{width} cannot be halved {stages} times; "
            f"{near_height}×{near_width} can: scale them (--image-size does it for pictures)"
        )
    return Halvings(stages, height // step, width // step)


def _build_reference(
    image_shape: ImageShape, latent_dim: int, halved: Halvings
) -> tuple[Encoder, Decoder]:
    channels = image_shape[0]
    stages, height, width = halved
    hidden = max(32, 4 * latent_dim)
    encoder_body = nn.Sequential(
        *_stack(_conv, [channels, 32]),
        *_stack(DownConv, [32, *[64] * stages]),
        *_stack(_conv, [64, 64, 64]),
        nn.Flatten(),
        *_stack(nn.Linear, [64 * height * width, hidden]),
    )
    decoder_body = nn.Sequential(
        *_stack(nn.Linear, [latent_dim, 64 * height * width]),
        nn.Unflatten(1, (64, height, width)),
        *_stack(UpConv, [*[64] * stages, 32]),
        LastConv(32, channels),
    )
    return Encoder(encoder_body, hidden, latent_dim), Decoder(decoder_body)


def _build_deep(
    image_shape: ImageShape,
    latent_dim: int,
    halved: Halvings,
    encoder: type[Encoder] = Encoder,
) -> tuple[Encoder, Decoder]:
    """One halving more than `reference`, and dense layers that bend the latent space.

    The encoder's widest layers stand before the last halving. At 28×28×1 the decoder costs 3.82
    million multiplications (the reference's costs 3.86), the encoder 12.4 (18.7).
    """
    channels = image_shape[0]
    stages, height, width = halved
    hidden = max(64, 4 * latent_dim)
    # The last layer halves, then the first, then those between them.
    first = DownConv if stages > 1 else _conv
    between = [32, *[64] * (stages - 2)]
    encoder_body = nn.Sequential(
        *_stack(first, [channels, 32]),
        *_stack(DownConv, between),
        *_stack(_conv, [between[-1], 64, 64]),
        *_stack(DownConv, [64, 48]),
        nn.Flatten(),
        *_stack(nn.Linear, [48 * height * width, hidden]),
    )
    decoder_body = nn.Sequential(
        *_stack(nn.Linear, [latent_dim, hidden, 2 * hidden, 32 * height * width], nn.SiLU),
        nn.Unflatten(1, (32, height, width)),
        *_stack(UpConv, [32, *[48] * (stages - 1), 32]),
        LastConv(32, channels),
    )
    return encoder(encoder_body, hidden, latent_dim), Decoder(decoder_body)


def _build_cells(
    image_shape: ImageShape, latent_dim: int, halved: Halvings
) -> tuple[Encoder, Decoder]:
    """`deep` with an encoder that chooses a cell of the prior; for one or two latents."""
    return _build_deep(image_shape, latent_dim, halved, CellEncoder)


NETWORKS: dict[NetworksName, Networks] = {
    "reference": Networks(_build_reference, max_side=16),
    "deep": Networks(_build_deep, max_side=8),
    "cells": Networks(_build_cells, max_side=8),
}


class DownConv(nn.Conv2d):
    """3×3, stride 2, `same`: (N, C, H, W) -> (N, out, H/2, W/2)."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__(channels, out, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(functional.pad(x, (0, 1, 0, 1)))


def _conv(channels: int, out: int) -> nn.Conv2d:
    """3×3, `same`."""
    return nn.Conv2d(channels, out, 3, padding=1)


def _stack(
    layer: Callable[[int, int], nn.Module],
    widths: Sequence[int],
    activation: Callable[[], nn.Module] = nn.ReLU,
) -> list[nn.Module]:
    """One layer from each width to the next, each with its activation."""
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [layer(before, after), activation()]
    return layers


def _initialize(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, CellHead):
        module.initialize()
