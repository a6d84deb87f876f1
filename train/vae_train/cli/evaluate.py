"""`vae-eval`: its options; nothing here imports torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vae_runtime.console import CONTEXT_SETTINGS
from vae_train.cli.options import DATA_HELP, SEED, prepare_torch, threads_option


@click.command(context_settings=CONTEXT_SETTINGS)
@click.argument("checkpoint", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--data", help=f"{DATA_HELP} By default what the checkpoint was trained on.")
@click.option(
    "--samples", type=click.IntRange(1), default=16, show_default=True, help="Draws of z per image."
)
@click.option(
    "--importance",
    type=click.IntRange(1),
    metavar="K",
    help="Also the importance-weighted bound with K draws per image; slow.",
)
@click.option(
    "--exact",
    is_flag=True,
    help="Also exact log p(x) by quadrature, for one or two latents and the Bernoulli likelihood.",
)
@click.option("--limit", type=click.IntRange(1), help="Only the first test images.")
@click.option("--seed", type=SEED, default=0, show_default=True)
@threads_option
@click.version_option(package_name="vae-edge")
def evaluate_command(**options: Any) -> None:
    """Print the true test ELBO of checkpoints and more, one column per model.

    Figures are in nats per image with 95 % intervals.

    Example: vae-eval runs/digits/model.pt runs/book/model.pt
    """
    prepare_torch("vae-eval", options["threads"])
    from vae_train.cli.run_evaluate import EvaluateOptions, run

    run(EvaluateOptions(**options))
