"""Networks of convolutions take images of any size: which do, and the proof at several sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from vae_export import parity
from vae_export.adapters.wrapped import AdaptedEncoder
from vae_export.contract import require_contract
from vae_export.graphs import require_readable
from vae_export.source import ExportSource
from vae_export.torch_modules import copied, module_name
from vae_runtime.arrays import Float32
from vae_runtime.errors import VAEError

# Images and latents of each size that the proof runs, and in which batches.
PROBE_COUNT = 3
BATCHES = (1, 3)


def keeping_shape(encoder: nn.Module) -> nn.Module:
    """An adapted encoder whose latents keep the shape (C, h, w) that the model gives them."""
    kept = copied(encoder)
    assert isinstance(kept, AdaptedEncoder)
    kept.keeps_shape = True
    return kept.eval()


def require_any_size(source: ExportSource) -> None:
    """Raise VAEError, in a line that says why, for networks that take one size of images alone."""
    if len(source.latent_shape) != 3:
        raise VAEError(
            f"--dynamic-size: {module_name(source.encoder)} gives latents that are vectors "
            f"({source.latent_dim}), so its images have one size; it is for networks of "
            "convolutions, whose latents are small images"
        )
    for pixels, latents in zip(source.image_shape[1:], source.latent_shape[1:], strict=True):
        if pixels % latents:
            raise VAEError(
                f"--dynamic-size: images of {pixels} pixels have {latents} latents in a row, "
                "which doesn't divide them; choose another --image-shape"
            )
    for size in proven_sizes(source)[1:]:
        images, z = _probes(source, size)
        try:
            require_contract(source.encoder, torch.from_numpy(images), _latents_at(source, size))
            require_contract(source.decoder, torch.from_numpy(z), _image_at(source, size))
        except VAEError as error:
            height, width = size
            raise VAEError(
                f"--dynamic-size: these networks don't take images of {height}×{width}, so they "
                f"aren't of convolutions alone: {error}"
            ) from error


def proven_sizes(source: ExportSource) -> list[tuple[int, int]]:
    """The model's own size (H, W), one about twice as large, and one that is wider than high."""
    _, height, width = source.image_shape
    down, across = _stride(source)
    rows = height // down
    columns = width // across
    larger = (2 * height, (columns + (columns + 1) // 2) * across)
    wider = ((rows + 1) // 2 * down, (columns + 1) * across)
    return [(height, width), larger, wider]


def prove_sizes(
    source: ExportSource, encoder: bytes, decoder: bytes, tolerance: float
) -> dict[str, list[Any]]:
    """What both graphs differ from torch at each size but the model's own, by part.

    Raises VAEError where one differs by more than the tolerance, or the runtime would refuse it.
    """
    reports: dict[str, list[Any]] = {"encoder": [], "decoder": []}
    for size in proven_sizes(source)[1:]:
        images, z = _probes(source, size)
        shapes = shapes_at(source, size)
        parts = (
            ("encoder", source.encoder, encoder, images),
            ("decoder", source.decoder, decoder, z),
        )
        for part, module, model_bytes, inputs in parts:
            require_readable(part, model_bytes, shapes)
            expected = parity.expect(module, inputs)
            differences = parity.measure(expected, model_bytes, BATCHES)
            parity.require(differences, tolerance)
            report = parity.report(differences, BATCHES)
            figures = {"largest": report["largest"], "mean": report["mean"]}
            reports[part].append({"size": list(size), **figures})
    return reports


def shapes_at(source: ExportSource, size: tuple[int, int]) -> dict[str, tuple[int, ...]]:
    """The shapes of all inputs and outputs for images of this size (H, W), without the batch."""
    latents = _latents_at(source, size)
    return {**_image_at(source, size), **latents, "z": latents["z_mean"]}


def _stride(source: ExportSource) -> tuple[int, int]:
    _, height, width = source.image_shape
    return height // source.latent_shape[1], width // source.latent_shape[2]


def _probes(source: ExportSource, size: tuple[int, int]) -> tuple[Float32, Float32]:
    """Seeded noise: images (n, C, H, W) in [0, 1], latents (n, C, h, w) out to ±LATENT_REACH."""
    rng = np.random.default_rng(0)
    images = rng.random((PROBE_COUNT, *_image_at(source, size)["image"]), np.float32)
    shape = (PROBE_COUNT, *_latents_at(source, size)["z_mean"])
    z = rng.uniform(-parity.LATENT_REACH, parity.LATENT_REACH, shape)
    return images, z.astype(np.float32)


def _image_at(source: ExportSource, size: tuple[int, int]) -> dict[str, tuple[int, ...]]:
    return {"image": (source.image_shape[0], *size)}


def _latents_at(source: ExportSource, size: tuple[int, int]) -> dict[str, tuple[int, ...]]:
    down, across = _stride(source)
    shape = (source.latent_shape[0], size[0] // down, size[1] // across)
    return {"z_mean": shape, "z_log_var": shape}
