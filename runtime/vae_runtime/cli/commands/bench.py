"""`vae-run bench`."""

from __future__ import annotations

import json

import click

from vae_runtime.bench import machine, measure
from vae_runtime.cli.options import ModelOptions, json_option, model_options


@click.command("bench")
@click.option(
    "--seconds",
    type=click.FloatRange(0.01, 60),
    default=0.5,
    show_default=True,
    help="Per measurement.",
)
@json_option
@model_options
def command(seconds: float, as_json: bool, model: ModelOptions) -> None:
    """Measure latency and throughput on this machine.

    By batch and thread count, for every precision in the bundle.

    Example: vae-run bench --seconds 1
    """
    vae = model.load()
    rows = measure(vae.storage, vae.bundle.precisions, vae.provider, vae.threads, seconds)
    if as_json:
        click.echo(json.dumps({"machine": machine(), "results": list(rows)}, indent=1))
        return
    click.echo(", ".join(f"{name} {value}" for name, value in machine().items()))
    click.echo(
        f"{'precision':<10}{'what':<8}{'threads':>8}{'batch':>7}"
        f"{'median ms':>11}{'p99 ms':>9}{'images/s':>10}"
    )
    for row in rows:
        click.echo(
            f"{row['precision']:<10}{row['what']:<8}{row['threads']:>8}{row['batch']:>7}"
            f"{row['median_ms']:>11.3f}{row['p99_ms']:>9.3f}{row['images_per_second']:>10.0f}"
        )
