"""Commands that report: info, check, score, bench."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import click

from vae_runtime.cli.inputs import images_argument, preprocess_options, read
from vae_runtime.cli.options import PATH, load_model, model_options, require_suffix
from vae_runtime.errors import VAEError

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command()
@json_option
@model_options
def info(as_json: bool, **model: Any) -> None:
    """Describe a bundle and verify its files.

    Says what it holds, and which provider and precision would run it.

    Example: vae-run info -m digits.vae --json
    """
    from vae_runtime.bundle import read_graph

    vae = load_model(model)
    for variant in vae.bundle.variants:
        for graph in (variant.encoder, variant.decoder):
            read_graph(vae.path, graph)
    vae.verify()
    if as_json:
        variants = [{"name": v.name, "precision": v.precision, "providers": v.providers, "elbo_change": v.elbo_change,
                     "bytes": v.encoder.bytes + v.decoder.bytes} for v in vae.bundle.variants]  # fmt: skip
        click.echo(json.dumps(vae.info | {"variants": variants}, indent=1))
        return
    channels, height, width = vae.image_shape
    click.echo(f"bundle      {vae.path}")
    click.echo(
        f"images      {height}×{width}, {channels} channel{'s' if channels > 1 else ''}, {vae.info['likelihood']}"
    )
    click.echo(f"latents     {vae.latent_dim}")
    click.echo(f"labels      {', '.join(vae.labels) or 'none'}")
    click.echo(f"provider    {vae.provider}, {vae.threads} threads")
    click.echo(f"precision   {vae.precision}: {vae.precision_reason}")
    for v in vae.bundle.variants:
        size = (v.encoder.bytes + v.decoder.bytes) / 1e6
        change = "" if v.precision == "fp32" or v.elbo_change is None else f", ELBO {v.elbo_change:+.3f} nats"
        click.echo(f"variant     {v.name}: {v.precision} for {', '.join(v.providers)}, {size:.2f} MB{change}")
    quantiles = ", ".join(f"q{name} {value:.1f}" for name, value in vae.variant.score_quantiles.items())
    click.echo(f"thresholds  {quantiles or 'none'}")
    for part in ("training", "producer"):
        values = ", ".join(f"{k} {v:.2f}" if isinstance(v, float) else f"{k} {v}" for k, v in vae.info[part].items())
        click.echo(f"{part:<11} {values}")
    click.echo("verified    every file")


@click.command()
@json_option
@model_options
def check(as_json: bool, **model: Any) -> None:
    """Compare this device's outputs with torch's.

    The bundle has the outputs that torch gave at export.

    Example: vae-run check -m digits.vae
    """
    vae = load_model(model)
    differences = vae.check()
    if as_json:
        click.echo(json.dumps({"provider": vae.provider, "variant": vae.variant.name, "differences": differences}))
        return
    for name, difference in differences.items():
        click.echo(f"{name:<10} largest difference from torch {difference:.2e}")
    click.echo(f"agrees with torch on {vae.provider}, variant {vae.variant.name}")


@click.command()
@images_argument
@click.option("--samples", type=click.IntRange(1), default=1, show_default=True, help="More: the tighter bound.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--threshold", help="Nats, or a quantile of held-out images that the bundle has, such as q0.01.")
@click.option("--check", "exit_3", is_flag=True, help="Exit 3 when an image is below the threshold.")
@click.option(
    "--output", "-o", type=PATH, default=Path("-"), help="A .csv file, with --json a .json file.  [default: stdout]"
)
@json_option
@preprocess_options
@model_options
def score(
    images: tuple[Path, ...],
    samples: int,
    seed: int,
    threshold: str | None,
    exit_3: bool,
    output: Path,
    as_json: bool,
    **options: Any,
) -> int:
    """Score images by their ELBO; find anomalies.

    In nats, higher is better: how well the model explains each image. With --threshold each is an anomaly or not.

    Example: vae-run score inbox/ --threshold q0.01 --check -o scores.csv
    """
    import numpy as np

    require_suffix(output, ".json" if as_json else ".csv")
    if exit_3 and threshold is None:
        raise click.UsageError("--check needs a --threshold")
    vae = load_model(options)
    limit = None if threshold is None else _threshold(threshold, vae.variant.score_quantiles)
    random = np.random.default_rng(seed)
    rows = []
    for names, array in read(vae, images, options):
        for name, value in zip(names, vae.score(array, samples=samples, seed=random).tolist(), strict=True):
            row = {"name": name, "score": round(value, 4)}
            rows.append(row if limit is None else row | {"anomaly": value < limit})
    _write_rows(rows, output, as_json)
    return 3 if exit_3 and any(row["anomaly"] for row in rows) else 0


def _threshold(text: str, quantiles: Any) -> float:
    if text.startswith("q"):
        if text[1:] not in quantiles:
            raise VAEError(
                f"--threshold {text}: this bundle has {', '.join('q' + q for q in quantiles) or 'no quantiles'}"
            )
        return float(quantiles[text[1:]])
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise click.UsageError(f"--threshold {text}: neither a number of nats nor a quantile such as q0.01")
    return value


def _write_rows(rows: list[dict[str, Any]], output: Path, as_json: bool) -> None:
    import csv
    import io

    from vae_runtime.files import atomic_file

    text = io.StringIO()
    if as_json:
        text.write(json.dumps(rows, indent=1) + "\n")
    else:
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    if str(output) == "-":
        click.echo(text.getvalue(), nl=False)
        return
    with atomic_file(output) as temporary:
        temporary.write_text(text.getvalue(), "utf-8")
    click.echo(output)


@click.command()
@click.option("--seconds", type=click.FloatRange(0.01, 60), default=0.5, show_default=True, help="Per measurement.")
@json_option
@model_options
def bench(seconds: float, as_json: bool, **model: Any) -> None:
    """Measure latency and throughput on this machine.

    By batch and thread count, for every precision in the bundle.

    Example: vae-run bench --seconds 1
    """
    from vae_runtime.bench import machine, measure

    vae = load_model(model)
    rows = measure(vae.path, vae.bundle.precisions, vae.provider, vae.threads, seconds)
    if as_json:
        click.echo(json.dumps({"machine": machine(), "results": list(rows)}, indent=1))
        return
    click.echo(", ".join(f"{k} {v}" for k, v in machine().items()))
    click.echo(f"{'precision':<10}{'what':<8}{'threads':>8}{'batch':>7}{'median ms':>11}{'p99 ms':>9}{'images/s':>10}")
    for row in rows:
        click.echo(
            f"{row['precision']:<10}{row['what']:<8}{row['threads']:>8}{row['batch']:>7}"
            f"{row['median_ms']:>11.3f}{row['p99_ms']:>9.3f}{row['images_per_second']:>10.0f}"
        )


COMMANDS = (info, check, score, bench)
