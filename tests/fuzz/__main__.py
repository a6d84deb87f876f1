"""Run the fuzzers: python -m tests.fuzz --cases 100000. Ends with 1 where there was a defect.

Example: python -m tests.fuzz --cases 5000 --only graphs --first-seed 100000
"""

from __future__ import annotations

import sys
import time

import click
from tests.fuzz import arguments, bundles, checkpoints, files, graphs
from tests.fuzz.harness import Fuzzer, run

FUZZERS: tuple[Fuzzer, ...] = (
    *bundles.FUZZERS,
    *graphs.FUZZERS,
    *checkpoints.FUZZERS,
    *files.FUZZERS,
    *arguments.FUZZERS,
)
SHOWN_DEFECTS = 20


@click.command()
@click.option("--cases", type=click.IntRange(1), default=1000, show_default=True)
@click.option("--first-seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--only", multiple=True, type=click.Choice([fuzzer.name for fuzzer in FUZZERS]))
def main(cases: int, first_seed: int, only: tuple[str, ...]) -> None:
    """Run each fuzzer on as many seeds and print its defects with theirs."""
    defects = 0
    for fuzzer in FUZZERS:
        if only and fuzzer.name not in only:
            continue
        start = time.monotonic()
        report = run(fuzzer, cases, first_seed)
        seconds = time.monotonic() - start
        defects += len(report.defects)
        click.echo(
            f"{fuzzer.name}: {report.cases} cases, {len(report.defects)} defects, {seconds:.0f} s"
        )
        for seed, defect in list(report.defects.items())[:SHOWN_DEFECTS]:
            click.echo(f"  seed {seed}: {defect}")
    sys.exit(1 if defects else 0)


if __name__ == "__main__":
    main()
