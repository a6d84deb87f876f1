"""Concept files: a direction in latent space as JSON.

{"concept": [D numbers], "with": the number of images that had it, "without": of those that hadn't}.
Where latents are small images, the numbers are nested as they are.
"""

from __future__ import annotations

import json
from pathlib import Path

from vae_runtime.arrays import Float32, Float64, check_latents_of_shape
from vae_runtime.door import MAX_JSON_BYTES, parse_json, read_file
from vae_runtime.errors import VAEError
from vae_runtime.formats.files import atomic_file


def write_concept(direction: Float64, images_with: int, images_without: int, path: Path) -> None:
    """Write a concept file, whole or not at all."""
    values = {"concept": direction.tolist(), "with": images_with, "without": images_without}
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(values) + "\n")


def read_concept(path: Path, latent_shape: tuple[int, ...]) -> Float32:
    """The direction, of `latent_shape`, in a concept file.

    Raises VAEError naming the file when it is missing, damaged or of another model.
    """
    try:
        stored = parse_json(read_file(path, MAX_JSON_BYTES))
        if not isinstance(stored, dict) or "concept" not in stored:
            raise ValueError('an object with the key "concept" was expected')
        latents = check_latents_of_shape(stored["concept"], latent_shape)
        if len(latents) != 1:
            raise ValueError("one direction was expected")
    except (ValueError, TypeError, OverflowError) as error:
        # OverflowError is numpy's, for whole numbers beyond every float.
        raise VAEError(f"{path}: not a concept file for this model: {error}") from None
    return latents.reshape(latent_shape)
