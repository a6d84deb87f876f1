"""`vae-run digits`."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path

import click
import numpy as np

from vae_runtime.cli.options import (
    ModelOptions,
    drawn_seed,
    force_option,
    model_options,
    output_option,
    scale_option,
    seed_option,
)
from vae_runtime.cli.output import write_images
from vae_runtime.errors import VAEError
from vae_runtime.latent.labels import LABEL_TEMPERATURE, require_label

MAX_COLUMN_SEED = 2**31
BLANK = " "


@click.command("digits")
@click.argument("text")
@click.option(
    "--temperature",
    type=click.FloatRange(0, min_open=True),
    default=LABEL_TEMPERATURE,
    show_default=True,
    help="Small: legible; large: varied.",
)
@click.option(
    "-n",
    "rows",
    type=click.IntRange(1, 1000),
    default=1,
    show_default=True,
    help="Rows of the picture.",
)
@seed_option
@scale_option
@output_option("digits.png")
@force_option
@model_options
def command(
    text: str,
    temperature: float,
    rows: int,
    seed: int | None,
    scale: int | None,
    output: Path,
    force: bool,
    model: ModelOptions,
) -> None:
    """Write a text in generated images of its characters.

    One image per character, a blank for each space; or one per word, where the words are labels.

    Example: vae-run digits 2026 --seed 1 -o year.png
    """
    vae = model.load()
    if not vae.labels:
        raise VAEError(
            "this bundle was exported without labels, so it cannot write; export one with labels"
        )
    labels = _labels_in(text, vae.labels)
    if not labels:
        raise click.UsageError("TEXT is empty")
    for label in labels:
        if label != BLANK:
            require_label(vae.labels, label)
    rng = np.random.default_rng(drawn_seed(seed))
    images = np.zeros((rows, len(labels), *vae.image_shape), np.float32)
    for column, label in enumerate(labels):
        if label == BLANK:
            continue
        column_seed = int(rng.integers(MAX_COLUMN_SEED))
        images[:, column] = vae.sample_label(label, rows, seed=column_seed, temperature=temperature)
    tiles = images.reshape(-1, *vae.image_shape)
    write_images([tiles], tiles.shape, output, columns=len(labels), scale=scale, force=force)


def _labels_in(text: str, known: Container[str]) -> list[str]:
    if text in known:
        return [text]
    words = text.split()
    if len(words) > 1 and all(word in known for word in words):
        return words
    return list(text)
