"""`vae-export`; also `python -m vae_export`."""

from __future__ import annotations

import importlib
import sys

import click

from vae_runtime.console import run


def main() -> None:
    """The console script."""
    for module in ("torch", "onnx", "onnxscript"):
        try:
            importlib.import_module(module)
        except ModuleNotFoundError:
            click.echo(f'Error: vae-export needs {module}: pip install "vae-edge[export]"', err=True)
            sys.exit(1)
    from vae_export.cli import command

    run(command, "vae-export")


if __name__ == "__main__":
    main()
