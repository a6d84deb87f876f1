"""`vae-run encode`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from vae_runtime.cli.inputs import ImageOptions, image_options, sized
from vae_runtime.cli.options import (
    PATH,
    STDOUT,
    ModelOptions,
    OwnSize,
    is_stdout,
    model_options,
    picture_size_option,
    refine_option,
    require_suffix,
)
from vae_runtime.cli.output import announce
from vae_runtime.formats.latents import (
    LATENT_FORMATS,
    LatentFormat,
    latents_bytes,
    write_latents,
)
from vae_runtime.latent.posterior import Inference


@click.command("encode")
@image_options
@click.option(
    "--output",
    "-o",
    type=PATH,
    default=STDOUT,
    help="A .npz, .csv, .json or .npy file.  [default: stdout]",
)
@click.option(
    "--format", "kind", type=click.Choice(LATENT_FORMATS), default="csv", help="For stdout."
)
@refine_option
@picture_size_option
@model_options
def command(
    images: ImageOptions,
    output: Path,
    kind: LatentFormat,
    inference: Inference,
    size: tuple[int, int] | OwnSize | None,
    model: ModelOptions,
) -> int:
    """Print or store the latents of images.

    IMAGES are image files, folders of them, IDX, .npy or .npz.

    Example: vae-run encode photos/ -o latents.csv
    """
    require_suffix(output, *("." + suffix for suffix in LATENT_FORMATS))
    images, vae = sized(images, model, size)
    reader = images.open_images(vae)
    latents = reader.encode_all(inference)
    if is_stdout(output):
        sys.stdout.buffer.write(latents_bytes(latents, kind))
    else:
        write_latents(latents, output)
        announce(output)
    return reader.exit_status
