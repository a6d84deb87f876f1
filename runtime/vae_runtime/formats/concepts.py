"""Concept files: a direction in latent space as JSON.

{"concept": [D numbers], "with": the number of images that had it, "without": of those that hadn't}.
"""

from __future__ import annotations

import json
from pathlib import Path

from vae_runtime.arrays import Float32, Float64, check_latents
from vae_runtime.errors import VAEError
from vae_runtime.formats.files import atomic_file


def write_concept(direction: Float64, images_with: int, images_without: int, path: Path) -> None:
    """Write a concept file, whole or not at all."""
    values = {"concept": direction.tolist(), "with": images_with, "without": images_without}
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(values) + "\n")


def read_concept(path: Path, latent_dim: int) -> Float32:
    """The direction (latent_dim,) in a concept file.

    Raises VAEError naming the file when it is missing, damaged or of another model.
    """
    if not path.is_file():
        raise VAEError(f"{path}: no such file")
    try:
        stored = json.loads(path.read_text("utf-8"))["concept"]
        (direction,) = check_latents(stored, latent_dim)
    except (ValueError, TypeError, KeyError) as error:
        raise VAEError(f"{path}: not a concept file for this model: {error}") from None
    result: Float32 = direction
    return result
