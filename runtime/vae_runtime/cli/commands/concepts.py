"""`vae-run concepts`."""

from __future__ import annotations

import click

from vae_runtime.cli.options import ModelOptions, model_options


@click.command("concepts")
@model_options
def command(model: ModelOptions) -> None:
    """List the concepts of a bundle.

    Each is a label of its training images, which edit adds or removes; learn-concept learns
    another.

    Example: vae-run concepts -m digits.vae
    """
    vae = model.load()
    if not vae.labels:
        click.echo(
            "this bundle was exported without labels; learn a concept with vae-run learn-concept",
            err=True,
        )
    for name, label in vae.labels.items():
        mean = " ".join(f"{value:.3f}" for value in label.mean)
        click.echo(f"{name}\t{label.count} images\tmean {mean}")
