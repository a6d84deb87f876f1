"""`vae-run sample`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from vae_runtime.arrays import Float32
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
from vae_runtime.vae import SAMPLE_SOURCES, SampleSource


@click.command("sample")
@count_option
@click.option(
    "--label", "labels", multiple=True, help="Draw images of this label; may be repeated."
)
@click.option(
    "--from",
    "source",
    type=click.Choice(SAMPLE_SOURCES),
    default="prior",
    show_default=True,
    help="From the prior, or from where the training images lie.",
)
@click.option(
    "--temperature",
    type=click.FloatRange(0, min_open=True),
    help="Below 1: clearer, less varied.  [default: 1; 0.1 with --label]",
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
    source: SampleSource,
    temperature: float | None,
    seed: int | None,
    columns: int | None,
    scale: int | None,
    output: Path,
    force: bool,
    model: ModelOptions,
) -> None:
    """Draw random images.

    Of all kinds, or with --label of one; several labels have a row each. --from data leaves out
    the places between the kinds, where the prior draws too.

    Example: vae-run sample -n 16 --seed 0 -o samples.png
    """
    if labels and source != "prior":
        raise click.UsageError("--label excludes --from: a label is drawn from its own images")
    require_sheet_holds(count * max(1, len(labels)), output)
    vae = model.load()
    for label in labels:
        require_label(vae.labels, label)
    options: dict[str, Any] = {"seed": drawn_seed(seed)}
    if temperature is not None:
        options["temperature"] = temperature
    shape = (count * max(1, len(labels)), *vae.image_shape)
    if labels:
        chunks: Iterable[Float32] = [vae.sample_label(labels, count, **options)]
        columns = columns or (count if len(labels) > 1 else None)
    else:
        chunks = vae.stream(count, source=source, **options)
    write_images(chunks, shape, output, columns=columns, scale=scale, force=force)
