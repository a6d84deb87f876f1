"""`python -m benchmarks.instructions BUNDLE`: what a decoded image costs on a board.

Instructions of one thread, in thousands for each image. They repeat to a few in a thousand,
whatever else the machine does. They say nothing of memory, caches and clock rates.
"""

from __future__ import annotations

import tempfile
from itertools import chain
from pathlib import Path

import click

from benchmarks.instructions.counts import instructions, write_empty_graph
from benchmarks.instructions.emulator import CPUS, DEFAULT_FOLDER, emulator_in
from benchmarks.tables import header, row
from vae_runtime.bundle.reading import as_storage, read_bundle
from vae_runtime.console import CONTEXT_SETTINGS


@click.command(context_settings=CONTEXT_SETTINGS)
@click.argument("bundle", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--cpu", "cpus", multiple=True, default=CPUS, show_default=True)
@click.option("--batch", "batches", type=int, multiple=True, default=(1, 16), show_default=True)
@click.option(
    "--plain",
    "checkpoint",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A checkpoint of vae-train: what torch.onnx.export makes of it is counted too.",
)
@click.option("--emulator", "folder", type=Path, default=DEFAULT_FOLDER, show_default=True)
def main(
    bundle: Path,
    cpus: tuple[str, ...],
    batches: tuple[int, ...],
    checkpoint: Path | None,
    folder: Path,
) -> None:
    """Count the instructions of every graph of BUNDLE, a folder, on emulated CPUs.

    The last row is a graph of no node: what calling onnxruntime from Python takes, which is in the
    other rows too. The emulator is downloaded by apt and pip where it isn't there yet.
    """
    emulator = emulator_in(folder)
    columns = [f"{cpu}, batch {batch}" for cpu in cpus for batch in batches]
    click.echo("Thousands of instructions per image, one thread\n")
    click.echo(header(["graph", *columns]))
    with tempfile.TemporaryDirectory() as temporary:
        graphs = _graphs_of_any_batch(bundle)
        if checkpoint is not None:
            graphs += _plain_graphs(checkpoint, Path(temporary))
        graphs.append(write_empty_graph(Path(temporary) / "no graph"))
        by_cpu = [instructions(emulator, cpu, graphs, batches) for cpu in cpus]
    for graph, *by_batch in zip(graphs, *by_cpu, strict=True):
        counts = chain.from_iterable(by_batch)
        click.echo(row([graph.name, *(f"{count / 1e3:,.0f}" for count in counts)]))


def _graphs_of_any_batch(bundle: Path) -> list[Path]:
    """Those of all variants but the ones of a fixed batch."""
    names: set[str] = set()
    for variant in read_bundle(as_storage(bundle)).variants:
        if variant.batch is None:
            names.update((variant.encoder.file, variant.decoder.file))
    return [bundle / name for name in sorted(names)]


def _plain_graphs(checkpoint: Path, folder: Path) -> list[Path]:
    # torch takes seconds to import.
    import torch

    from benchmarks.plain import plain_graph
    from vae_export.api import source_of_checkpoint

    source = source_of_checkpoint(checkpoint)
    encoder = plain_graph(source.encoder, torch.zeros(2, *source.image_shape))
    decoder = plain_graph(source.decoder, torch.zeros(2, source.latent_dim))
    paths = []
    for name, model_bytes in (("plain encoder", encoder), ("plain decoder", decoder)):
        paths.append(folder / name)
        paths[-1].write_bytes(model_bytes)
    return paths


if __name__ == "__main__":
    main()
