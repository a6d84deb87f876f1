"""`vae-run interpolate`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from numpy.typing import ArrayLike

from vae_runtime.arrays import Float32
from vae_runtime.cli.inputs import ImageOptions, image_options
from vae_runtime.cli.options import (
    ModelOptions,
    force_option,
    model_options,
    output_option,
    refine_option,
    scale_option,
)
from vae_runtime.cli.output import announce, is_sheet, write_images
from vae_runtime.formats.latents import read_latents
from vae_runtime.formats.npy import load_numpy
from vae_runtime.latent.places import PATH_MODES, PathMode
from vae_runtime.latent.posterior import Inference

if TYPE_CHECKING:
    from vae_runtime.vae import VAE

# Pixels per pixel of an animation.
GIF_SCALE = 8
LATENT_SUFFIXES = (".csv", ".json", ".npz")


@click.command("interpolate")
@partial(image_options, required=False)
@click.option("--from", "start", help="A label to begin with, in place of images.")
@click.option("--to", "end", help="A label to end with.")
@click.option(
    "--steps",
    type=click.IntRange(2, 1000),
    default=10,
    show_default=True,
    help="Images per path.",
)
@click.option("--mode", type=click.Choice(PATH_MODES), default="linear", show_default=True)
@refine_option
@scale_option
@click.option(
    "--fps", type=click.IntRange(1, 50), default=12, show_default=True, help="For a .gif."
)
@output_option("interpolate.png")
@force_option
@model_options
def command(
    images: ImageOptions,
    start: str | None,
    end: str | None,
    steps: int,
    mode: PathMode,
    inference: Inference,
    scale: int | None,
    fps: int,
    output: Path,
    force: bool,
    model: ModelOptions,
) -> None:
    """Morph one image into the next.

    The output is a strip (.png), an animation (.gif), an array (.npy) or a folder of frames. Takes
    two or more images, or one latent file with two or more rows.

    Example: vae-run interpolate --from 1 --to 4 --steps 12 -o path.gif
    """
    vae = model.load()
    if (start is None) != (end is None) or (start is None) == (not images.images):
        raise click.UsageError("give images, a latent file, or labels by --from and --to")
    ends: Sequence[ArrayLike] = [start, end] if start and end else _latents(vae, images, inference)
    if len(ends) < 2:
        raise click.UsageError(f"a path needs two ends; {images.images[0]} gives {len(ends)}")
    paths = [vae.interpolate(first, last, steps, mode=mode) for first, last in pairwise(ends)]
    if not is_sheet(output) or output.suffix.lower() == ".gif":
        # Where one path ends the next begins; a sheet has a row for each.
        paths[1:] = [path[1:] for path in paths[1:]]
    frames = np.concatenate(paths)
    if output.suffix.lower() == ".gif":
        from vae_runtime.charts import save_gif

        way_back = frames[-2:0:-1]
        loop = np.concatenate([frames, way_back])
        save_gif(loop, output, scale=scale or GIF_SCALE, fps=fps)
        announce(output)
        return
    write_images([frames], frames.shape, output, columns=steps, scale=scale, force=force)


def _latents(vae: VAE, images: ImageOptions, inference: Inference) -> list[Float32]:
    """The latents, each of latent_shape, between which paths run."""
    paths = images.images
    if len(paths) == 1 and _holds_latents(paths[0], vae.latent_shape):
        return list(read_latents(paths[0], vae.latent_shape))
    return list(images.open_images(vae).encode_all(inference).z_mean)


def _holds_latents(path: Path, latent_shape: tuple[int, ...]) -> bool:
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return load_numpy(path, "z_mean", mapped=True).shape[1:] == latent_shape
    return suffix in LATENT_SUFFIXES
