"""`vae-run score`."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from vae_runtime.cli.inputs import ImageOptions, image_options
from vae_runtime.cli.options import (
    PATH,
    STDOUT,
    ModelOptions,
    json_option,
    model_options,
    require_suffix,
)
from vae_runtime.cli.output import write_text
from vae_runtime.latent.novelty import Yardstick, yardstick
from vae_runtime.latent.scores import BOUNDS, Bound, chosen_bound, relative_scores

EXIT_ANOMALY = 3
DECIMALS = 4

Row = dict[str, Any]


@dataclass(frozen=True)
class Limit:
    """The score in nats below which an image is an anomaly, and of which score it is one."""

    nats: float
    is_relative: bool


@click.command("score")
@image_options
@click.option(
    "--samples",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="More: the tighter bound.",
)
@click.option(
    "--bound",
    type=click.Choice(BOUNDS),
    help="exact: log p(x) itself, of one or two latents.  [default: elbo]",
)
@click.option(
    "--relative",
    is_flag=True,
    help="Against what each image allows, to compare different kinds of images.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option(
    "--threshold",
    help="Nats, or a quantile of held-out images that the bundle has, such as q0.01, of their "
    "relative scores.",
)
@click.option(
    "--check",
    "fails_on_anomaly",
    is_flag=True,
    help="Exit 3 when an image is below the threshold.",
)
@click.option(
    "--output",
    "-o",
    type=PATH,
    default=STDOUT,
    help="A .csv file, with --json a .json file.  [default: stdout]",
)
@json_option
@model_options
def command(
    images: ImageOptions,
    samples: int,
    bound: Bound | None,
    relative: bool,
    seed: int,
    threshold: str | None,
    fails_on_anomaly: bool,
    output: Path,
    as_json: bool,
    model: ModelOptions,
) -> int:
    """Score images by their ELBO; find anomalies.

    In nats, higher is better: how well the model explains each image. With --threshold each is an
    anomaly or not; a quantile is one of relative scores, which are then shown as well.

    Example: vae-run score inbox/ --threshold q0.01 --check -o scores.csv
    """
    require_suffix(output, ".json" if as_json else ".csv")
    if fails_on_anomaly and threshold is None:
        raise click.UsageError("--check needs a --threshold")
    # Before a model is loaded; what is wrong is an error of usage.
    chosen_bound(bound, samples)
    vae = model.load()
    limit = None if threshold is None else _limit(threshold, yardstick(vae.variant), relative)
    rows: list[Row] = []
    reader = images.open_images(vae)
    for names, chunk in reader.chunks():
        scores = vae.score(chunk, samples=samples, seed=seed, bound=bound)
        judged = scores
        if relative or (limit and limit.is_relative):
            judged = relative_scores(scores, chunk, vae.bundle.likelihood)
        shown = judged if relative else scores
        for name, score, judged_score in zip(names, shown, judged, strict=True):
            rows.append(_row(name, float(score), float(judged_score), limit))
    write_text(_json_text(rows) if as_json else _csv_text(rows), output)
    if fails_on_anomaly and any(row["anomaly"] for row in rows):
        return EXIT_ANOMALY
    return reader.exit_status


def _row(name: str, score: float, judged: float, limit: Limit | None) -> Row:
    """A line of output; `judged` is the score of the kind that the limit is one of."""
    row: Row = {"name": name, "score": round(score, DECIMALS)}
    if limit is None:
        return row
    if limit.is_relative:
        row["relative"] = round(judged, DECIMALS)
    row["anomaly"] = judged < limit.nats
    return row


def _limit(text: str, known: Yardstick, relative: bool) -> Limit:
    """What --threshold means."""
    if text.startswith("q"):
        quantiles = known.quantiles
        if text[1:] not in quantiles:
            present = ", ".join("q" + name for name in quantiles) or "no quantiles"
            raise click.UsageError(f"--threshold {text}: this bundle has {present}")
        return Limit(quantiles[text[1:]], known.is_relative)
    try:
        nats = float(text)
    except ValueError:
        nats = math.nan
    if not math.isfinite(nats):
        raise click.UsageError(
            f"--threshold {text}: neither a number of nats nor a quantile such as q0.01"
        )
    return Limit(nats, relative)


def _json_text(rows: Sequence[Row]) -> str:
    return json.dumps(rows, indent=1) + "\n"


def _csv_text(rows: Sequence[Row]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
