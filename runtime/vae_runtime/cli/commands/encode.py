"""`vae-run encode`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from vae_runtime.cli.inputs import encode_all, images_argument
from vae_runtime.cli.options import (
    PATH,
    STDOUT,
    ModelOptions,
    PreprocessOptions,
    is_stdout,
    model_options,
    preprocess_options,
    require_suffix,
)
from vae_runtime.cli.output import announce
from vae_runtime.formats.latents import (
    LATENT_FORMATS,
    LatentFormat,
    latents_bytes,
    write_latents,
)


@click.command("encode")
@images_argument
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
@preprocess_options
@model_options
def command(
    images: tuple[Path, ...],
    output: Path,
    kind: LatentFormat,
    preprocess: PreprocessOptions,
    model: ModelOptions,
) -> None:
    """Print or store the latents of images.

    IMAGES are image files, folders of them, IDX, .npy or .npz.

    Example: vae-run encode photos/ -o latents.csv
    """
    require_suffix(output, *("." + suffix for suffix in LATENT_FORMATS))
    latents = encode_all(model.load(), images, preprocess)
    if is_stdout(output):
        sys.stdout.buffer.write(latents_bytes(latents, kind))
        return
    write_latents(latents, output)
    announce(output)
