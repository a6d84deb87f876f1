"""`vae-run reconstruct`."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from vae_runtime.cli.inputs import images_argument, read_all
from vae_runtime.cli.options import (
    ModelOptions,
    PreprocessOptions,
    force_option,
    model_options,
    output_option,
    preprocess_options,
    scale_option,
)
from vae_runtime.cli.output import is_sheet, write_images

MAX_PAIRS_PER_ROW = 10


@click.command("reconstruct")
@images_argument
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=100,
    show_default=True,
    help="The most images in a picture.",
)
@scale_option(2)
@output_option("reconstruct.png")
@preprocess_options
@force_option
@model_options
def command(
    images: tuple[Path, ...],
    limit: int,
    scale: int,
    output: Path,
    preprocess: PreprocessOptions,
    force: bool,
    model: ModelOptions,
) -> None:
    """Draw images beside their reconstructions.

    A .npy or a folder holds the reconstructions alone, in the order of the images.

    Example: vae-run reconstruct digit.png -o pairs.png
    """
    vae = model.load()
    if not is_sheet(output):
        result = vae.reconstruct(read_all(vae, images, preprocess))
        write_images([result], result.shape, output, scale=scale, force=force)
        return
    originals = read_all(vae, images, preprocess, limit)
    pairs = np.stack([originals, vae.reconstruct(originals)], 1)
    tiles = pairs.reshape(-1, *vae.image_shape)
    columns = 2 * min(MAX_PAIRS_PER_ROW, len(pairs))
    write_images([tiles], tiles.shape, output, columns=columns, scale=scale)
