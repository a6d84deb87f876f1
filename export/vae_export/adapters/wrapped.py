"""The modules that are traced in place of somebody's own: they keep the contract."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vae_export.adapters.outputs import Path, PosteriorPaths, at
from vae_export.adapters.ranges import ImageRange
from vae_export.torch_modules import module_name


@dataclass(frozen=True)
class LatentScale:
    """Latents as a latent diffusion model takes them: scale · (z - shift)."""

    scale: float = 1.0
    shift: float = 0.0

    @property
    def is_one(self) -> bool:
        return self.scale == 1 and self.shift == 0

    def apply_to_mean(self, mean: Tensor) -> Tensor:
        return mean if self.is_one else (mean - self.shift) * self.scale

    def apply_to_log_var(self, log_var: Tensor) -> Tensor:
        # The variance of s · z is s² times that of z.
        return log_var if self.is_one else log_var + 2 * math.log(self.scale)

    def undo(self, z: Tensor) -> Tensor:
        return z if self.is_one else z / self.scale + self.shift


class AdaptedEncoder(nn.Module):
    """Images (N, C, H, W) in [0, 1] -> z_mean and z_log_var, each (N, D).

    Where it `keeps_shape` they are as the model gives them.
    """

    def __init__(
        self,
        encoder: nn.Module,
        paths: PosteriorPaths,
        image_range: ImageRange,
        scale: LatentScale,
        *,
        flat_images: bool,
        keeps_shape: bool = False,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.paths = paths
        self.image_range = image_range
        self.scale = scale
        self.flat_images = flat_images
        self.keeps_shape = keeps_shape
        self.exported_as = module_name(encoder)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        output = self.encoder(model_input(image, self.image_range, self.flat_images))
        mean, log_var = self.paths.read(output)
        mean = self.scale.apply_to_mean(mean)
        log_var = self.scale.apply_to_log_var(log_var)
        if self.keeps_shape:
            return mean, log_var
        return torch.flatten(mean, 1), torch.flatten(log_var, 1)


class AdaptedDecoder(nn.Module):
    """z (N, D), or small images (N, C, h, w) -> images (N, C, H, W) in [0, 1]."""

    def __init__(
        self,
        decoder: nn.Module,
        path: Path,
        image_range: ImageRange,
        scale: LatentScale,
        *,
        latent_shape: tuple[int, ...],
        image_shape: tuple[int, ...],
    ) -> None:
        super().__init__()
        self.decoder = decoder
        self.path = path
        self.image_range = image_range
        self.scale = scale
        self.latent_shape = latent_shape
        self.image_shape = image_shape
        self.exported_as = module_name(decoder)

    def forward(self, z: Tensor) -> Tensor:
        if z.ndim == 2 and len(self.latent_shape) > 1:
            z = torch.unflatten(z, 1, self.latent_shape)
        image: Tensor = at(self.decoder(self.scale.undo(z)), self.path)
        if image.ndim == 2:
            image = torch.unflatten(image, 1, self.image_shape)
        return self.image_range.from_model(image)


def model_input(image: Tensor, image_range: ImageRange, flat: bool) -> Tensor:
    """Images (N, C, H, W) in [0, 1] as the model takes them: its range, flattened or not."""
    image = image_range.to_model(image)
    return torch.flatten(image, 1) if flat else image
