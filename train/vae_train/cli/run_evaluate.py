"""What `vae-eval` does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from vae_runtime.arrays import Float64, UInt8
from vae_runtime.errors import VAEError
from vae_train.checkpoint import Checkpoint, load_checkpoint
from vae_train.cli.settings import load_own_dataset
from vae_train.evaluation import active_units, evaluate_elbo, importance_weighted_bound
from vae_train.exact_posterior import exact_log_likelihood, require_exact
from vae_train.inference_gaps import low_density_share, refined_elbo

# Standard deviations to either side of the mean.
NORMAL_95_PERCENT = 1.96
NAME_WIDTH = 32
MIN_COLUMN_WIDTH = 12

Column = dict[str, str]
"""What is printed of one model, by row."""


@dataclass(frozen=True)
class EvaluateOptions:
    """The options of `vae-eval`; `importance` is None where that bound isn't asked for."""

    checkpoint: tuple[Path, ...]
    data: str | None
    samples: int
    importance: int | None
    exact: bool
    limit: int | None
    seed: int
    threads: int | None


def run(options: EvaluateOptions) -> None:
    """Evaluate every checkpoint, then print the table."""
    columns = []
    counts = []
    for path in options.checkpoint:
        saved = load_checkpoint(path)
        if options.exact:
            _require_exact(path, saved)
        images = _test_images(path, saved, options)
        columns.append(_evaluate(saved, images, options))
        counts.append(len(images))
    headers = [str(path) for path in options.checkpoint]
    for line in table(_title(counts, options.samples), headers, columns):
        click.echo(line)


def _title(counts: Sequence[int], samples: int) -> str:
    """The number of test images, or the numbers where each model has its own."""
    if len(set(counts)) == 1:
        counts = counts[:1]
    shown = ", ".join(map(str, counts))
    return f"{shown} images, {samples} samples each"


def _require_exact(path: Path, saved: Checkpoint) -> None:
    """Raise VAEError, before any image is read, for a model that --exact can't evaluate."""
    try:
        require_exact(saved.model)
    except VAEError as error:
        raise VAEError(f"{path}: {error}") from None


def _test_images(path: Path, saved: Checkpoint, options: EvaluateOptions) -> UInt8:
    """The data set's test images in the shape that the model was made for."""
    data = load_own_dataset(path, saved.config, saved.source, options.data, options.limit)
    images = data.test.images
    if images.shape[1:] != saved.config.image_shape:
        raise VAEError(
            f"{path}: made for images {saved.config.image_shape}, not {images.shape[1:]}"
        )
    return images


def _evaluate(saved: Checkpoint, images: UInt8, options: EvaluateOptions) -> Column:
    model = saved.model
    sampling = saved.config.sampling
    result = evaluate_elbo(model, sampling, images, samples=options.samples, seed=options.seed)
    column = {
        "test ELBO": interval(result.elbo),
        "reconstruction": interval(result.reconstruction),
        "KL": interval(result.kl),
    }
    if options.importance:
        bound = importance_weighted_bound(
            model, sampling, images, samples=options.importance, seed=options.seed
        )
        column[f"importance-weighted, K = {options.importance}"] = interval(bound)
    if options.exact:
        column.update(_exact_rows(saved, images, result.elbo, options))
    units = active_units(model, sampling, images)
    column["active units"] = f"{units} of {saved.config.latent_dim}"
    return column


def _exact_rows(
    saved: Checkpoint, images: UInt8, elbo: Float64, options: EvaluateOptions
) -> Column:
    """What --exact adds, of the same images as the rows above."""
    model = saved.model
    refined = refined_elbo(
        model, saved.config.sampling, images, samples=options.samples, seed=options.seed
    )
    log_likelihood = exact_log_likelihood(model, images)
    return {
        "ELBO of refined inference": interval(refined),
        "exact log p(x)": interval(log_likelihood),
        "inference gap, log p(x) - ELBO": interval(log_likelihood - elbo),
        "amortization gap": interval(refined - elbo),
        "approximation gap": interval(log_likelihood - refined),
        "prior's mass without data": f"{low_density_share(model, images):.1%}",
    }


def interval(values: Float64) -> str:
    """The mean and half of its 95 % interval over images."""
    half = NORMAL_95_PERCENT * values.std() / math.sqrt(len(values))
    return f"{values.mean():.2f} ± {half:.2f}"


def table(title: str, headers: Sequence[str], columns: Sequence[Column]) -> list[str]:
    """The lines of a table whose rows are those of the first column."""
    width = max(MIN_COLUMN_WIDTH, *map(len, headers))
    for column in columns:
        width = max(width, *map(len, column.values()))
    lines = [_line(title, headers, width)]
    for row in columns[0]:
        cells = [column[row] for column in columns]
        lines.append(_line(row, cells, width))
    return lines


def _line(name: str, cells: Sequence[str], width: int) -> str:
    padded = [f"  {cell:>{width}}" for cell in cells]
    return name.ljust(NAME_WIDTH) + "".join(padded)
