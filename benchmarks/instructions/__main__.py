"""`python -m benchmarks.instructions BUNDLE`: what a decoded image costs on a board.

Instructions of one thread, in thousands for each image. They repeat to a few in a thousand,
whatever else the machine does. They say nothing of memory, caches and clock rates.
"""

from __future__ import annotations

import re
from pathlib import Path

import click

from benchmarks.instructions.emulator import CPUS, DEFAULT_FOLDER, Emulator, emulator_in
from benchmarks.tables import header, row
from vae_runtime.console import CONTEXT_SETTINGS

GUEST = Path(__file__).with_name("guest.py")
MARK = re.compile(r"^mark (\d+) (\d+)$", re.M)


@click.command(context_settings=CONTEXT_SETTINGS)
@click.argument("bundle", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--cpu", "cpus", multiple=True, default=CPUS, show_default=True)
@click.option("--batch", "batches", type=int, multiple=True, default=(1, 16), show_default=True)
@click.option("--emulator", "folder", type=Path, default=DEFAULT_FOLDER, show_default=True)
def main(bundle: Path, cpus: tuple[str, ...], batches: tuple[int, ...], folder: Path) -> None:
    """Count the instructions of every graph of BUNDLE, a folder, on emulated CPUs.

    The emulator is downloaded by apt and pip where it isn't there yet.
    """
    emulator = emulator_in(folder)
    columns = [f"{cpu}, batch {batch}" for cpu in cpus for batch in batches]
    click.echo("Thousands of instructions per image, one thread\n")
    click.echo(header(["graph", *columns]))
    for graph in sorted(bundle.glob("*.onnx")):
        cells = [graph.name]
        for cpu in cpus:
            for batch in batches:
                cells.append(f"{instructions(emulator, cpu, graph, batch) / 1e3:,.0f}")
        click.echo(row(cells))


def instructions(emulator: Emulator, cpu: str, graph: Path, batch: int) -> float:
    """Of a call, for each image: the fewest of several calls, since the first ones allocate."""
    done = emulator.python(cpu, GUEST, graph, str(batch), counted=True)
    counts = [int(count) for _, count in MARK.findall(done.stderr)]
    if done.returncode or not counts:
        raise click.ClickException(f"{graph} doesn't run on {cpu}: {done.stderr.strip()}")
    calls = [end - start for start, end in zip(counts[::2], counts[1::2], strict=True)]
    return min(calls) / batch


if __name__ == "__main__":
    main()
