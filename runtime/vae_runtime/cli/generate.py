"""Commands that make images from latents: grid, sample, decode, digits."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click

from vae_runtime.cli.options import (
    PATH,
    count_option,
    drawn_seed,
    force_option,
    load_model,
    model_options,
    output_option,
    pair,
    seed_option,
)
from vae_runtime.cli.output import write_images, write_picture


@click.command()
@click.option("-n", "cells", type=click.IntRange(1, 200), default=15, show_default=True, help="Cells along each axis.")
@click.option(
    "--axes",
    callback=pair(int),
    metavar="A,B",
    default="0,1",
    show_default=True,
    help="Latent dimensions: across, down.",
)
@click.option(
    "--quantiles",
    callback=pair(float),
    metavar="A,B",
    help="Range of both axes in quantiles of N(0, 1).  [default: 0.05,0.95]",
)
@click.option("--limits", callback=pair(float), metavar="A,B", help="Range of both axes in latent units instead.")
@click.option("--anchor", help="The other dimensions: an image file, or numbers with commas between them.")
@click.option("--scale", type=click.IntRange(1, 32), default=1, show_default=True, help="Pixels per pixel.")
@click.option("--labelled", is_flag=True, help="Write the latent coordinates along both axes.")
@output_option("grid.png")
@force_option
@model_options
def grid(
    cells: int,
    axes: tuple[int, int],
    quantiles: tuple[float, float] | None,
    limits: tuple[float, float] | None,
    anchor: str | None,
    scale: int,
    labelled: bool,
    output: Path,
    force: bool,
    **model: Any,
) -> None:
    """Draw the latent space: each cell decodes one point.

    Rows run downwards, as in the book: the first row has the smallest value of the second axis.

    Example: vae-run grid -n 20 --limits -3,3 -o grid.png
    """
    if quantiles and limits:
        raise click.UsageError("--quantiles and --limits exclude each other")
    vae = load_model(model)
    z = None if anchor is None else _anchor(vae, anchor)
    images = vae.grid(cells, axes=axes, quantiles=quantiles, limits=limits, anchor=z)
    if labelled:
        from vae_runtime.latent_space import axis_points
        from vae_runtime.pictures import with_axes
        from vae_runtime.png import sheet

        points = axis_points(cells, quantiles, limits)
        tiles = sheet(images.reshape(-1, *vae.image_shape), cells, scale=scale)
        write_picture(with_axes(tiles, points.tolist(), axes), output)
        return
    flat = images.reshape(-1, *vae.image_shape)
    write_images([flat], flat.shape, output, columns=cells, scale=scale, force=force)


def _anchor(vae: Any, anchor: str) -> Any:
    if not Path(anchor).exists():
        try:
            values = [float(part) for part in anchor.split(",")]
        except ValueError:
            values = []
        if len(values) != vae.latent_dim or not all(map(math.isfinite, values)):
            raise click.UsageError(
                f"--anchor {anchor}: neither a file nor {vae.latent_dim} numbers with commas between"
            )
        return values
    from vae_runtime.images import read_picture

    return vae.encode(read_picture(Path(anchor), vae.image_shape, vae.bundle.preprocess)[None])[0][0]


@click.command()
@count_option
@seed_option
@click.option("--columns", type=click.IntRange(1), help="Tiles per row.  [default: as square as it gets]")
@click.option("--scale", type=click.IntRange(1, 32), default=1, show_default=True, help="Pixels per pixel.")
@output_option("sample.png")
@force_option
@model_options
def sample(
    count: int, seed: int | None, columns: int | None, scale: int, output: Path, force: bool, **model: Any
) -> None:
    """Draw random images.

    Example: vae-run sample -n 16 --seed 0 -o samples.png
    """
    vae = load_model(model)
    chunks = vae.stream(count, seed=drawn_seed(seed))
    write_images(chunks, (count, *vae.image_shape), output, columns=columns, scale=scale, force=force)


@click.command()
@click.argument("latents", type=PATH)
@click.option("--columns", type=click.IntRange(1), help="Tiles per row.  [default: as square as it gets]")
@click.option("--scale", type=click.IntRange(1, 32), default=1, show_default=True, help="Pixels per pixel.")
@output_option("decode.png")
@force_option
@model_options
def decode(latents: Path, columns: int | None, scale: int, output: Path, force: bool, **model: Any) -> None:
    """Draw the images of a latent file.

    LATENTS is .npz, .npy, .csv or .json, as encode writes them.

    Example: vae-run decode latents.csv -o decoded.png
    """
    from vae_runtime.errors import VAEError
    from vae_runtime.latents import read_latents

    vae = load_model(model)
    z = read_latents(latents, vae.latent_dim)
    if not len(z):
        raise VAEError(f"{latents}: no latents in it")
    write_images(vae.stream(z), (len(z), *vae.image_shape), output, columns=columns, scale=scale, force=force)


@click.command()
@click.argument("text")
@click.option(
    "--temperature", type=click.FloatRange(0, min_open=True), default=0.1, show_default=True,
    help="Small: legible; large: varied.",
)  # fmt: skip
@click.option("-n", "rows", type=click.IntRange(1, 1000), default=1, show_default=True, help="Rows of the picture.")
@seed_option
@click.option("--scale", type=click.IntRange(1, 32), default=2, show_default=True, help="Pixels per pixel.")
@output_option("digits.png")
@force_option
@model_options
def digits(
    text: str, temperature: float, rows: int, seed: int | None, scale: int, output: Path, force: bool, **model: Any
) -> None:
    """Write a text in generated images of its characters.

    One image per character, or per word where TEXT has spaces, for labels of several letters.

    Example: vae-run digits 2026 --seed 1 -o year.png
    """
    import numpy as np

    from vae_runtime.errors import VAEError

    vae = load_model(model)
    if not vae.labels:
        raise VAEError("this bundle was exported without labels, so it cannot write; export one with labels")
    labels = [text] if text in vae.labels else text.split() if " " in text else list(text)
    if not labels:
        raise click.UsageError("TEXT is empty")
    random = np.random.default_rng(drawn_seed(seed))
    images = np.empty((rows, len(labels), *vae.image_shape), np.float32)
    for column, label in enumerate(labels):
        seed_of_column = int(random.integers(2**31))
        images[:, column] = vae.sample_label(label, rows, seed=seed_of_column, temperature=temperature)
    flat = images.reshape(-1, *vae.image_shape)
    write_images([flat], flat.shape, output, columns=len(labels), scale=scale, force=force)


COMMANDS = (grid, sample, decode, digits)
