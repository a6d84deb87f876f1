"""`vae-train`: its options; nothing here imports torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vae_runtime.bundle import LIKELIHOODS
from vae_runtime.console import CONTEXT_SETTINGS, EXIT_INTERRUPTED
from vae_train.cli.options import DATA_HELP, SEED, prepare_torch, threads_option
from vae_train.config import NETWORKS_NAMES, OPTIMIZER_NAMES, PRESETS


# No setting has a default here: what isn't given comes from the preset, or from the checkpoint.
@click.command(context_settings=CONTEXT_SETTINGS)
@click.option("--data", help=f"{DATA_HELP} mnist by default.")
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
@click.option(
    "--preset",
    type=click.Choice(list(PRESETS)),
    help="Settings that belong together, of which options change single ones; default by default.",
)
@click.option(
    "--epochs",
    type=click.IntRange(1),
    help="Passes over the data; with --resume it may be another number than before.",
)
@click.option(
    "--decoder-epochs",
    type=click.IntRange(0),
    help="Further epochs in which the decoder learns from the exact posterior.",
)
@click.option(
    "--encoder-epochs",
    type=click.IntRange(0),
    help="Then epochs in which the encoder does; for networks cells.",
)
@click.option("--latent-dim", type=click.IntRange(1, 256), help="Latent dimensions; 2 by default.")
@click.option(
    "--networks",
    type=click.Choice(NETWORKS_NAMES),
    help="The book's, some with a deeper decoder, or those and an encoder that chooses a cell.",
)
@click.option(
    "--likelihood",
    type=click.Choice(LIKELIHOODS),
    help="bernoulli by default; continuous_bernoulli makes it a density of gray values; gaussian, "
    "with a learned variance per channel, suits photographs.",
)
@click.option(
    "--beta",
    type=float,
    help="Weight of the KL term, with both losses in nats per image.",
)
@click.option(
    "--optimizer",
    type=click.Choice(OPTIMIZER_NAMES),
    help="Another one than the preset's brings its usual learning rate.",
)
@click.option(
    "--learning-rate",
    type=float,
    help="The peak of the one-cycle schedule; rmsprop's is constant.",
)
@click.option("--batch-size", type=int, help="Images of one step.")
@click.option("--seed", type=SEED, help="0 by default; the same seed gives the same run.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@threads_option
@click.option(
    "--amp",
    is_flag=True,
    default=None,
    help="Compute in bfloat16; pays where the device has it.",
)
@click.option(
    "--compile",
    is_flag=True,
    default=None,
    help="Use torch.compile, which needs a C++ compiler.",
)
@click.option(
    "--output", "-o", type=click.Path(path_type=Path), default=Path("runs/vae"), show_default=True
)
@click.option(
    "--resume",
    is_flag=True,
    help="Continue the run in the output folder, with its own data and settings.",
)
@click.version_option(package_name="vae-edge")
def train_command(**options: Any) -> None:
    """Train a variational autoencoder.

    The output folder gets model.pt, history.csv, pictures (losses.png, samples.png,
    reconstructions.png, grid.png, latents.png, one grid per epoch in grids/) and learning.gif,
    which shows the latent space being learned.

    Example: vae-train --data mnist --preset default -o runs/digits
    """
    prepare_torch("vae-train", options["threads"])
    from vae_train.cli.run_train import run
    from vae_train.cli.settings import TrainOptions

    finished = run(TrainOptions(**options))
    if not finished:
        raise SystemExit(EXIT_INTERRUPTED)
