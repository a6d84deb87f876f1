"""`vae-run concepts`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

from vae_runtime.bundle import Label
from vae_runtime.cli.options import ModelOptions, json_option, model_options


@click.command("concepts")
@json_option
@model_options
def command(as_json: bool, model: ModelOptions) -> None:
    """List the concepts of a bundle.

    Each is a label of its training images, which edit adds or removes; learn-concept learns
    another.

    Example: vae-run concepts -m digits.vae
    """
    vae = model.load()
    if as_json:
        click.echo(json.dumps(_values(vae.labels), indent=1))
        return
    if not vae.labels:
        click.echo(
            "this bundle was exported without labels; learn a concept with vae-run learn-concept",
            err=True,
        )
    for name, label in vae.labels.items():
        mean = " ".join(f"{value:.3f}" for value in label.mean)
        click.echo(f"{name}\t{label.count} images\tmean {mean}")


def _values(labels: Mapping[str, Label]) -> list[dict[str, Any]]:
    values = []
    for name, label in labels.items():
        values.append({"label": name, "count": label.count, "mean": list(label.mean)})
    return values
