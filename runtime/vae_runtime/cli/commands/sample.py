"""`vae-run sample`."""

from __future__ import annotations

from pathlib import Path

import click

from vae_runtime.cli.options import (
    ModelOptions,
    columns_option,
    count_option,
    drawn_seed,
    force_option,
    model_options,
    output_option,
    scale_option,
    seed_option,
)
from vae_runtime.cli.output import write_images


@click.command("sample")
@count_option
@seed_option
@columns_option
@scale_option(1)
@output_option("sample.png")
@force_option
@model_options
def command(
    count: int,
    seed: int | None,
    columns: int | None,
    scale: int,
    output: Path,
    force: bool,
    model: ModelOptions,
) -> None:
    """Draw random images.

    Example: vae-run sample -n 16 --seed 0 -o samples.png
    """
    vae = model.load()
    chunks = vae.stream(count, seed=drawn_seed(seed))
    shape = (count, *vae.image_shape)
    write_images(chunks, shape, output, columns=columns, scale=scale, force=force)
