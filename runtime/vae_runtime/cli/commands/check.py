"""`vae-run check`."""

from __future__ import annotations

import json

import click

from vae_runtime.cli.options import ModelOptions, json_option, model_options


@click.command("check")
@json_option
@model_options
def command(as_json: bool, model: ModelOptions) -> None:
    """Compare this device's outputs with torch's.

    The bundle has the outputs that torch gave at export.

    Example: vae-run check -m digits.vae
    """
    vae = model.load()
    differences = vae.check()
    if as_json:
        report = {
            "provider": vae.provider,
            "variant": vae.variant.name,
            "differences": differences,
        }
        click.echo(json.dumps(report))
        return
    for name, difference in differences.items():
        click.echo(f"{name:<10} largest difference from torch {difference:.2e}")
    click.echo(f"agrees with torch on {vae.provider}, variant {vae.variant.name}")
