"""Kill each writer many times: python -m tests.crashes --kills 200."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from random import Random

import click
from tests.crashes.harness import kill_once
from tests.crashes.writers import WRITERS


@click.command()
@click.option("--kills", type=click.IntRange(1), default=20, show_default=True)
@click.option("--first-seed", type=click.IntRange(0), default=0, show_default=True)
def main(kills: int, first_seed: int) -> None:
    """Print what was left wrong, with its seed; end with 1 where anything was."""
    total = 0
    for kind in WRITERS:
        found = 0
        with tempfile.TemporaryDirectory() as folder:
            for seed in range(first_seed, first_seed + kills):
                for defect in kill_once(kind, Path(folder), Random(seed)):
                    found += 1
                    click.echo(f"  {kind}, seed {seed}: {defect}")
        click.echo(f"{kind}: {kills} kills, {found} defects")
        total += found
    sys.exit(1 if total else 0)


if __name__ == "__main__":
    main()
