"""`vae-run decode`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from vae_runtime.cli.options import (
    PATH,
    STDIN,
    ModelOptions,
    columns_option,
    force_option,
    model_options,
    output_option,
    scale_option,
    size_option,
)
from vae_runtime.cli.output import write_images
from vae_runtime.door import read_limited
from vae_runtime.errors import VAEError
from vae_runtime.formats.latents import MAX_LATENT_BYTES, read_latents, read_latents_bytes


@click.command("decode")
@click.argument("latents", type=PATH)
@columns_option
@scale_option
@output_option("decode.png")
@force_option
@size_option
@model_options
def command(
    latents: Path,
    columns: int | None,
    scale: int | None,
    output: Path,
    force: bool,
    size: tuple[int, int] | None,
    model: ModelOptions,
) -> None:
    """Draw the images of a latent file.

    LATENTS is .npz, .npy, .csv or .json, as encode writes them; - is stdin.

    Example: vae-run decode latents.csv -o decoded.png
    """
    vae = model.load(size)
    if latents == STDIN:
        content = read_limited(sys.stdin.buffer, MAX_LATENT_BYTES, "stdin")
        z = read_latents_bytes(content, vae.latent_shape)
    else:
        z = read_latents(latents, vae.latent_shape)
    if not len(z):
        raise VAEError(f"{latents}: no latents in it")
    shape = (len(z), *vae.image_shape)
    write_images(vae.stream(z), shape, output, columns=columns, scale=scale, force=force)
