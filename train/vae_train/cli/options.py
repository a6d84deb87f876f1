"""Options that both commands have."""

from __future__ import annotations

import click

MAX_SEED = 2**31 - 1

data_option = click.option(
    "--data",
    default="mnist",
    show_default=True,
    help="'mnist', a folder with IDX files or pictures (sub-folders are labels), "
    "or a .npy or .npz file.",
)
seed_option = click.option("--seed", type=click.IntRange(0, MAX_SEED), default=0, show_default=True)
