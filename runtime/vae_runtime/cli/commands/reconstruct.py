"""`vae-run reconstruct`."""

from __future__ import annotations

from pathlib import Path

import click

from vae_runtime.cli.inputs import ImageOptions, image_options, sized
from vae_runtime.cli.options import (
    ModelOptions,
    OwnSize,
    captions_option,
    force_option,
    model_options,
    output_option,
    picture_size_option,
    refine_option,
    scale_option,
)
from vae_runtime.cli.output import is_sheet, write_columns, write_images
from vae_runtime.latent.posterior import Inference

MAX_PAIRS_PER_ROW = 5


@click.command("reconstruct")
@image_options
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=100,
    show_default=True,
    help="The most images in a picture.",
)
@refine_option
@scale_option
@captions_option
@output_option("reconstruct.png")
@force_option
@picture_size_option
@model_options
def command(
    images: ImageOptions,
    limit: int,
    inference: Inference,
    scale: int | None,
    captions: bool,
    output: Path,
    force: bool,
    size: tuple[int, int] | OwnSize | None,
    model: ModelOptions,
) -> int:
    """Draw images beside their reconstructions.

    A .npy or a folder holds the reconstructions alone, in the order of the images.

    Example: vae-run reconstruct digit.png -o pairs.png
    """
    images, vae = sized(images, model, size)
    if not is_sheet(output):
        reader = images.open_images(vae)
        result = vae.reconstruct(reader.read_all(), inference=inference)
        write_images([result], result.shape, output, scale=scale, force=force)
        return reader.exit_status
    reader = images.open_images(vae, limit)
    originals = reader.read_all()
    rebuilt = vae.reconstruct(originals, inference=inference)
    columns = {"image": originals, "rebuilt": rebuilt}
    write_columns(columns, output, repeats=MAX_PAIRS_PER_ROW, scale=scale, captions=captions)
    return reader.exit_status
