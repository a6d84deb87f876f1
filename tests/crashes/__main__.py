"""Kill each writer many times: python -m tests.crashes --kills 200."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from random import Random

import click
from tests.crashes.commands import COMMANDS, kill_often
from tests.crashes.harness import kill_once
from tests.crashes.writers import WRITERS


@click.command()
@click.option("--kills", type=click.IntRange(1), default=20, show_default=True)
@click.option("--first-seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--only", multiple=True, type=click.Choice([*WRITERS, *COMMANDS]))
def main(kills: int, first_seed: int, only: tuple[str, ...]) -> None:
    """Print what was left wrong, with its seed; end with 1 where anything was."""
    total = 0
    for kind in only or (*WRITERS, *COMMANDS):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            if kind in WRITERS:
                defects = _kill_writer(kind, folder, range(first_seed, first_seed + kills))
            else:
                defects = kill_often(kind, folder, kills, first_seed)
        for defect in defects:
            click.echo(f"  {kind}, {defect}")
        click.echo(f"{kind}: {kills} kills, {len(defects)} defects")
        total += len(defects)
    sys.exit(1 if total else 0)


def _kill_writer(kind: str, folder: Path, seeds: range) -> list[str]:
    defects = []
    for seed in seeds:
        for defect in kill_once(kind, folder, Random(seed)):
            defects.append(f"seed {seed}: {defect}")
    return defects


if __name__ == "__main__":
    main()
