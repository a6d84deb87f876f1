"""What both commands have: options, and what a command needs before torch is imported."""

from __future__ import annotations

import click

from vae_runtime.console import require_extra
from vae_train.threads import request_threads

REQUIRED_MODULES = ("torch", "tqdm")
MAX_SEED = 2**31 - 1

DATA_HELP = (
    "'mnist', a folder with IDX files or pictures (sub-folders are labels), or a .npy or .npz file."
)
SEED = click.IntRange(0, MAX_SEED)

threads_option = click.option(
    "--threads",
    type=click.IntRange(1),
    help="Threads to compute with; by default one for each core.",
)


def prepare_torch(command: str, threads: int | None) -> None:
    """Import torch with `threads` threads, None for as many as it takes by itself.

    Ends the process with one line where torch is missing.
    """
    request_threads(threads)
    require_extra(command, "train", REQUIRED_MODULES)
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
