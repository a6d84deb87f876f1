"""`vae-run score`."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

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

EXIT_ANOMALY = 3
DECIMALS = 4

Row = dict[str, Any]


@click.command("score")
@image_options
@click.option(
    "--samples",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="More: the tighter bound.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option(
    "--threshold",
    help="Nats, or a quantile of held-out images that the bundle has, such as q0.01.",
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
    seed: int,
    threshold: str | None,
    fails_on_anomaly: bool,
    output: Path,
    as_json: bool,
    model: ModelOptions,
) -> int:
    """Score images by their ELBO; find anomalies.

    In nats, higher is better: how well the model explains each image. With --threshold each is an
    anomaly or not.

    Example: vae-run score inbox/ --threshold q0.01 --check -o scores.csv
    """
    require_suffix(output, ".json" if as_json else ".csv")
    if fails_on_anomaly and threshold is None:
        raise click.UsageError("--check needs a --threshold")
    vae = model.load()
    min_score = None
    if threshold is not None:
        min_score = _threshold_nats(threshold, vae.variant.score_quantiles)
    rng = np.random.default_rng(seed)
    rows: list[Row] = []
    reader = images.open_images(vae)
    for names, chunk in reader.chunks():
        scores = vae.score(chunk, samples=samples, seed=rng).tolist()
        for name, score in zip(names, scores, strict=True):
            rows.append(_row(name, score, min_score))
    write_text(_json_text(rows) if as_json else _csv_text(rows), output)
    if fails_on_anomaly and any(row["anomaly"] for row in rows):
        return EXIT_ANOMALY
    return reader.exit_status


def _row(name: str, score: float, min_score: float | None) -> Row:
    row: Row = {"name": name, "score": round(score, DECIMALS)}
    if min_score is not None:
        row["anomaly"] = score < min_score
    return row


def _threshold_nats(text: str, quantiles: Mapping[str, float]) -> float:
    """What --threshold means, in nats."""
    if text.startswith("q"):
        if text[1:] not in quantiles:
            present = ", ".join("q" + name for name in quantiles) or "no quantiles"
            raise click.UsageError(f"--threshold {text}: this bundle has {present}")
        return quantiles[text[1:]]
    try:
        nats = float(text)
    except ValueError:
        nats = math.nan
    if not math.isfinite(nats):
        raise click.UsageError(
            f"--threshold {text}: neither a number of nats nor a quantile such as q0.01"
        )
    return nats


def _json_text(rows: Sequence[Row]) -> str:
    return json.dumps(rows, indent=1) + "\n"


def _csv_text(rows: Sequence[Row]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
