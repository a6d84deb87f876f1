"""What is exported: an encoder and a decoder in torch, and what is known of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from vae_export.torch_modules import module_name
from vae_runtime.arrays import Float32, ImageShape
from vae_runtime.bundle import Component, Label, Likelihood, Preprocess


@dataclass(frozen=True, kw_only=True)
class ExportSource:
    """Modules in evaluation mode, and what a bundle says of them.

    `encoder` takes images (N, C, H, W) float32 in [0, 1] and returns z_mean and z_log_var, each
    (N, latent_dim); `decoder` takes z (N, latent_dim) and returns images. With a dynamic size
    latents are (N, *latent_shape).
    """

    encoder: nn.Module
    decoder: nn.Module
    image_shape: ImageShape
    latent_dim: int
    # (C, h, w) of spatial latents; empty for vectors.
    latent_shape: tuple[int, ...] = ()
    # Whether graphs take images of any size; then both modules keep the latents' shape.
    dynamic_size: bool = False
    likelihood: Likelihood
    # (N, C, H, W) that training didn't see; without any, parity uses noise and nothing is scored.
    heldout_images: Float32 | None = None
    # (N, C, H, W) that int8 is calibrated on, some of the training set.
    calibration_images: Float32 | None = None
    labels: Mapping[str, Label] = field(default_factory=dict)
    # A mixture for the latents of the training images.
    density: tuple[Component, ...] = ()
    # What the bundle quotes of the training run.
    training: Mapping[str, Any] = field(default_factory=dict)
    preprocess: Preprocess = field(default_factory=Preprocess)
    checkpoint_sha256: str = ""

    @property
    def traced_latent_shape(self) -> tuple[int, ...]:
        """The shape of latents, without the batch, in modules and graphs."""
        return self.latent_shape if self.dynamic_size else (self.latent_dim,)


class BookEncoder(nn.Module):
    """Makes an encoder whose standard deviation is exp(z_log_var) return the log variance."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.exported_as = module_name(encoder)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        z_mean, z_log_var = self.encoder(image)
        return z_mean, 2 * z_log_var
