"""`vae-train` and `vae-eval`; also `python -m vae_train`, which trains."""

from __future__ import annotations

import importlib
import sys

import click

from vae_runtime.console import run

EXTRA = 'Error: {command} needs torch and tqdm: pip install "vae-edge[train]"'


def main() -> None:
    """The console script `vae-train`."""
    _run("vae-train")


def evaluate() -> None:
    """The console script `vae-eval`."""
    _run("vae-eval")


def _run(command: str) -> None:
    try:
        importlib.import_module("torch")
        importlib.import_module("tqdm")
    except ModuleNotFoundError:
        click.echo(EXTRA.format(command=command), err=True)
        sys.exit(1)
    from vae_train import cli

    run({"vae-train": cli.train_command, "vae-eval": cli.evaluate_command}[command], command)


if __name__ == "__main__":
    main()
