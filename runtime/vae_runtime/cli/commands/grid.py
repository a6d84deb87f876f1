"""`vae-run grid`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from vae_runtime.arrays import Float32
from vae_runtime.cli.options import (
    ModelOptions,
    force_option,
    model_options,
    number_pair,
    output_option,
    scale_option,
)
from vae_runtime.cli.output import require_sheet_holds, write_images, write_picture
from vae_runtime.formats.sheets import sheet
from vae_runtime.latent.places import axis_points

if TYPE_CHECKING:
    from vae_runtime.vae import VAE


@click.command("grid")
@click.option(
    "-n",
    "cells",
    type=click.IntRange(1, 200),
    default=15,
    show_default=True,
    help="Cells along each axis.",
)
@click.option(
    "--axes",
    callback=number_pair(int),
    metavar="A,B",
    default="0,1",
    show_default=True,
    help="Latent dimensions: across, down.",
)
@click.option(
    "--quantiles",
    callback=number_pair(float),
    metavar="A,B",
    help="Range of both axes in quantiles of N(0, 1).  [default: 0.05,0.95]",
)
@click.option(
    "--limits",
    callback=number_pair(float),
    metavar="A,B",
    help="Range of both axes in latent units instead.",
)
@click.option(
    "--anchor", help="The other dimensions: an image file, or numbers with commas between them."
)
@scale_option
@click.option("--book", "is_book_order", is_flag=True, help="Rows run downwards, as in the book.")
@click.option("--labelled", is_flag=True, help="Write the latent coordinates along both axes.")
@output_option("grid.png")
@force_option
@model_options
def command(
    cells: int,
    axes: tuple[int, int],
    quantiles: tuple[float, float] | None,
    limits: tuple[float, float] | None,
    anchor: str | None,
    scale: int | None,
    is_book_order: bool,
    labelled: bool,
    output: Path,
    force: bool,
    model: ModelOptions,
) -> None:
    """Draw the latent space: each cell decodes one point.

    The second axis grows upwards, as in plot and on the page of explore; with --book downwards.

    Example: vae-run grid -n 20 --limits -3,3 -o grid.png
    """
    if quantiles and limits:
        raise click.UsageError("--quantiles and --limits exclude each other")
    require_sheet_holds(cells * cells, output)
    vae = model.load()
    z = None if anchor is None else _anchor_latent(vae, anchor)
    cells_of_plane = vae.grid(cells, axes=axes, quantiles=quantiles, limits=limits, anchor=z)
    if not is_book_order:
        cells_of_plane = cells_of_plane[::-1]
    images = cells_of_plane.reshape(-1, *vae.image_shape)
    if not labelled:
        write_images([images], images.shape, output, columns=cells, scale=scale, force=force)
        return
    # Pillow, which draws the text, takes 10 ms to load.
    from vae_runtime.charts import with_axes

    points = axis_points(cells, quantiles, limits)
    tiles = sheet(images, cells, scale=scale)
    rows = points if is_book_order else points[::-1]
    write_picture(with_axes(tiles, points.tolist(), rows.tolist(), axes), output)


def _anchor_latent(vae: VAE, anchor: str) -> Float32:
    """The latent (D,) of an image file, or the numbers themselves."""
    path = Path(anchor)
    if not path.exists():
        return _numbers(anchor, vae.latent_dim)
    from vae_runtime.formats.images import read_image_file

    image = read_image_file(path, vae.image_shape, vae.bundle.preprocess)
    z_mean, _ = vae.encode(image[None])
    latent: Float32 = z_mean[0].ravel()
    return latent


def _numbers(anchor: str, latent_dim: int) -> Float32:
    try:
        values = [float(part) for part in anchor.split(",")]
    except ValueError:
        values = []
    if len(values) != latent_dim or not all(map(math.isfinite, values)):
        raise click.UsageError(
            f"--anchor {anchor}: neither a file nor {latent_dim} numbers with commas between"
        )
    return np.array(values, np.float32)
