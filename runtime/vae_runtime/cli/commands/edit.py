"""`vae-run edit`."""

from __future__ import annotations

from pathlib import Path

import click

from vae_runtime.cli.inputs import ImageOptions, image_options
from vae_runtime.cli.options import (
    PATH,
    ModelOptions,
    captions_option,
    finite,
    force_option,
    model_options,
    output_option,
    refine_option,
    scale_option,
)
from vae_runtime.cli.output import is_sheet, write_columns, write_images
from vae_runtime.formats.concepts import read_concept
from vae_runtime.latent.posterior import Inference


@click.command("edit")
@image_options
@click.option("--add", help="A label of the bundle.")
@click.option("--remove", help="A label of the bundle.")
@click.option("--concept", type=PATH, help="A concept file that vae-run learn-concept wrote.")
@click.option("--strength", type=float, callback=finite, default=1.0, show_default=True)
@refine_option
@scale_option
@captions_option
@output_option("edit.png")
@force_option
@model_options
def command(
    images: ImageOptions,
    add: str | None,
    remove: str | None,
    concept: Path | None,
    strength: float,
    inference: Inference,
    scale: int | None,
    captions: bool,
    output: Path,
    force: bool,
    model: ModelOptions,
) -> int:
    """Add or remove a concept, such as "eight".

    A picture shows each image beside its reconstruction and its edit; a .npy or a folder holds the
    edits alone.

    Example: vae-run edit three.png --add 8 --remove 3 -o edited.png
    """
    _require_change(add, remove, concept)
    vae = model.load()
    reader = images.open_images(vae)
    originals = reader.read_all()
    direction = None
    if concept:
        direction = read_concept(concept, vae.latent_shape)
    edited = vae.edit(
        originals,
        add=add,
        remove=remove,
        direction=direction,
        strength=strength,
        inference=inference,
    )
    if not is_sheet(output):
        write_images([edited], edited.shape, output, scale=scale, force=force)
        return reader.exit_status
    rebuilt = vae.reconstruct(originals, inference=inference)
    columns = {"image": originals, "rebuilt": rebuilt, "edited": edited}
    write_columns(columns, output, scale=scale, captions=captions)
    return reader.exit_status


def _require_change(add: str | None, remove: str | None, concept: Path | None) -> None:
    """Raise UsageError where the options change nothing, or two things."""
    if concept and (add or remove):
        raise click.UsageError("--concept excludes --add and --remove")
    if add and add == remove:
        raise click.UsageError(f"--add {add} --remove {remove}: nothing would change")
    if not (concept or add or remove):
        raise click.UsageError("say what to change with --add, --remove or --concept")
