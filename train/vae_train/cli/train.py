"""`vae-train`: its options; nothing here imports torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vae_runtime.bundle import LIKELIHOODS
from vae_runtime.console import CONTEXT_SETTINGS, EXIT_INTERRUPTED
from vae_train.cli.options import data_option, prepare_torch, seed_option, threads_option
from vae_train.config import PRESETS


@click.command(context_settings=CONTEXT_SETTINGS)
@data_option
@click.option("--preset", type=click.Choice(list(PRESETS)), default="default", show_default=True)
@click.option(
    "--epochs", type=click.IntRange(1), help="Passes over the data; the preset's own by default."
)
@click.option("--limit", type=click.IntRange(1), help="Train and test on the first images only.")
@click.option(
    "--validation",
    type=click.IntRange(1),
    help="Hold out this number of training images instead of the test set.",
)
@click.option(
    "--image-size",
    type=click.IntRange(16, 128),
    help="Crop and scale pictures to a square of this side in pixels.",
)
@click.option("--latent-dim", type=click.IntRange(1, 256), default=2, show_default=True)
@click.option(
    "--likelihood",
    type=click.Choice(LIKELIHOODS),
    default="bernoulli",
    show_default=True,
    help="gaussian, with a learned variance per channel, suits photographs.",
)
@seed_option
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@threads_option
@click.option("--amp", is_flag=True, help="Compute in bfloat16; pays where the device has it.")
@click.option("--compile", is_flag=True, help="Use torch.compile, which needs a C++ compiler.")
@click.option(
    "--output", "-o", type=click.Path(path_type=Path), default=Path("runs/vae"), show_default=True
)
@click.option("--resume", is_flag=True, help="Continue the run in the output folder.")
@click.version_option(package_name="vae-edge")
def train_command(**options: Any) -> None:
    """Train a variational autoencoder.

    The output folder gets model.pt, history.csv, pictures (losses.png, grid.png, latents.png, one
    grid per epoch in grids/) and learning.gif, which shows the latent space being learned.

    Example: vae-train --data mnist --preset default -o runs/digits
    """
    prepare_torch("vae-train", options["threads"])
    from vae_train.cli.run_train import TrainOptions, run

    finished = run(TrainOptions(**options))
    if not finished:
        raise SystemExit(EXIT_INTERRUPTED)
