"""Images that commands take: their argument, and reading them some at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from vae_runtime.arrays import Float32
from vae_runtime.cli.options import PATH, PreprocessOptions
from vae_runtime.cli.progress import ProgressLine
from vae_runtime.errors import VAEError
from vae_runtime.formats.images import read_images
from vae_runtime.formats.latents import Latents

if TYPE_CHECKING:
    from vae_runtime.vae import VAE

READ_CHUNK = 1024  # Images.

images_argument = click.argument("images", nargs=-1, required=True, type=PATH)


def read_chunks(
    vae: VAE, paths: Sequence[Path], preprocess: PreprocessOptions, limit: int | None = None
) -> Iterator[tuple[list[str], Float32]]:
    """Names and images (n, C, H, W) of all files and folders, 1,024 at a time; at most `limit`.

    Raises VAEError where there is no image at all.
    """
    settings = preprocess.resolve(vae.bundle.preprocess)
    images = islice(read_images(paths, vae.image_shape, settings), limit)
    with ProgressLine() as progress:
        while chunk := list(islice(images, READ_CHUNK)):
            names = [item.name for item in chunk]
            yield names, np.stack([item.image for item in chunk])
            progress.advance(len(chunk))
    if not progress.done:
        raise VAEError(f"{paths[0]}: no images in it")


def read_all(
    vae: VAE, paths: Sequence[Path], preprocess: PreprocessOptions, limit: int | None = None
) -> Float32:
    """All the images at once, (N, C, H, W)."""
    chunks = [images for _, images in read_chunks(vae, paths, preprocess, limit)]
    return np.concatenate(chunks)


def encode_all(vae: VAE, paths: Sequence[Path], preprocess: PreprocessOptions) -> Latents:
    """The latents of all files and folders, with the images' names."""
    names: list[str] = []
    means = []
    log_vars = []
    for chunk_names, images in read_chunks(vae, paths, preprocess):
        z_mean, z_log_var = vae.encode(images)
        names += chunk_names
        means.append(z_mean)
        log_vars.append(z_log_var)
    return Latents(tuple(names), np.concatenate(means), np.concatenate(log_vars))
