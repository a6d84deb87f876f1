"""`vae-run learn-concept`."""

from __future__ import annotations

from pathlib import Path

import click

from vae_runtime.cli.inputs import PreprocessOptions, preprocess_options
from vae_runtime.cli.options import (
    PATH,
    ModelOptions,
    model_options,
)
from vae_runtime.cli.output import announce
from vae_runtime.formats.concepts import write_concept
from vae_runtime.latent.places import direction


@click.command("learn-concept")
@click.option(
    "--with",
    "with_folder",
    type=PATH,
    required=True,
    help="A folder of images that have the concept.",
)
@click.option(
    "--without",
    "without_folder",
    type=PATH,
    required=True,
    help="A folder of images that don't.",
)
@click.option(
    "--output",
    "-o",
    type=PATH,
    default=Path("concept.json"),
    show_default=True,
    help="The concept file.",
)
@preprocess_options
@model_options
def command(
    with_folder: Path,
    without_folder: Path,
    output: Path,
    preprocess: PreprocessOptions,
    model: ModelOptions,
) -> None:
    """Learn a concept from two folders of images.

    The concept file holds a direction in latent space, which edit --concept uses.

    Example: vae-run learn-concept --with smiling/ --without neutral/ -o smile.json
    """
    vae = model.load()
    z_with = preprocess.open(vae, [with_folder]).encode_all().z_mean
    z_without = preprocess.open(vae, [without_folder]).encode_all().z_mean
    concept = direction(z_with, z_without)
    write_concept(concept, len(z_with), len(z_without), output)
    announce(output)
