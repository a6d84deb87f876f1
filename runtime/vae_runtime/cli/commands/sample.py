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
from vae_runtime.cli.output import require_sheet_holds, write_images
from vae_runtime.latent.labels import require_label


@click.command("sample")
@count_option
@click.option(
    "--label", "labels", multiple=True, help="Draw images of this label; may be repeated."
)
@seed_option
@columns_option
@scale_option
@output_option("sample.png")
@force_option
@model_options
def command(
    count: int,
    labels: tuple[str, ...],
    seed: int | None,
    columns: int | None,
    scale: int | None,
    output: Path,
    force: bool,
    model: ModelOptions,
) -> None:
    """Draw random images.

    Of all kinds, or with --label of one; several labels have a row each.

    Example: vae-run sample -n 16 --seed 0 -o samples.png
    """
    require_sheet_holds(count * max(1, len(labels)), output)
    vae = model.load()
    if labels:
        for label in labels:
            require_label(vae.labels, label)
        images = vae.sample_label(labels, count, seed=drawn_seed(seed))
        columns = columns or (count if len(labels) > 1 else None)
        write_images([images], images.shape, output, columns=columns, scale=scale, force=force)
        return
    chunks = vae.stream(count, seed=drawn_seed(seed))
    shape = (count, *vae.image_shape)
    write_images(chunks, shape, output, columns=columns, scale=scale, force=force)
