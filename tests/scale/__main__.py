"""`python -m tests.scale --rows 200000`: faults that strike runs on Ray."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import click
from tests.scale.faults import FAULTS, make_data


@click.command()
@click.option("--rows", type=click.IntRange(20_000), default=200_000, show_default=True)
@click.option("--only", type=click.Choice(list(FAULTS)), multiple=True)
@click.option("--mnist", type=Path, default=Path("../shared/data/mnist/train-images-idx3-ubyte.gz"))
def main(rows: int, only: tuple[str, ...], mnist: Path) -> None:
    """Let each fault strike a run, and check that every row is there, once, and right."""
    with tempfile.TemporaryDirectory() as folder:
        data = make_data(Path(folder), rows, mnist)
        for name in only or FAULTS:
            began = time.monotonic()
            result = FAULTS[name](data, Path(folder))
            click.echo(f"{name}: {result}; {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
