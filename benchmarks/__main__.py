"""python -m benchmarks CHECKPOINT: images per second beside other runtimes, as Markdown tables.

With ratios to the plain graph, and GFLOP/s beside what the CPU's matrix product reaches.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import torch

from benchmarks.peers import OURS, PLAIN, Method, Subject, build, peer_names
from benchmarks.plain import multiplications, plain_graph
from benchmarks.rates import matrix_rate
from benchmarks.tables import header, row
from benchmarks.turns import seconds, workers
from vae_export import export_checkpoint
from vae_runtime.bench import machine
from vae_runtime.console import CONTEXT_SETTINGS
from vae_runtime.errors import VAEError
from vae_train.checkpoint import load_checkpoint

BATCHES = (1, 8, 32, 225)
# Images of the test that looks at one large call.
LARGE_BATCH = 10_000


@dataclass(frozen=True)
class Speeds:
    """One peer's images per second for each batch, and their ratio to those of the plain graph."""

    images_per_second: list[float]
    ratios: list[float]


@click.command(context_settings=CONTEXT_SETTINGS)
@click.argument("checkpoint", type=click.Path(path_type=Path, exists=True))
@click.option("--threads", multiple=True, type=click.IntRange(1), default=[1, 2], show_default=True)
@click.option(
    "--batch", "batches", multiple=True, type=click.IntRange(1), default=BATCHES, show_default=True
)
@click.option(
    "--seconds",
    "budget_seconds",
    default=1.0,
    show_default=True,
    help="Per peer and cell of the table.",
)
@click.option(
    "--compile/--no-compile",
    "compiled",
    default=True,
    help="With torch.compile, which needs a compiler.",
)
@click.option(
    "--many/--no-many",
    default=True,
    help=f"Also decode {LARGE_BATCH:,} images in one call on two threads.",
)
def main(
    checkpoint: Path,
    threads: tuple[int, ...],
    batches: tuple[int, ...],
    budget_seconds: float,
    compiled: bool,
    many: bool,
) -> None:
    """Measure CHECKPOINT in torch, plain ONNX, OpenVINO (where installed) and as our bundle.

    Example: python -m benchmarks runs/digits/model.pt
    """
    here = machine()
    load, _, _ = os.getloadavg()
    click.echo(f"{here['cpu']}, {here['cpus']} CPUs, load {load:.1f}, torch {torch.__version__}\n")
    with tempfile.TemporaryDirectory() as folder:
        bundle = _export(checkpoint, Path(folder) / "bench.vae")
        subject = Subject(checkpoint, bundle, plain_graphs=Path(folder))
        peers = peer_names(bundle, compiled)
        methods: tuple[Method, ...] = ("decode", "encode")
        for method in methods:
            for count in threads:
                _print_table(subject, peers, method, count, batches, budget_seconds)
        if many:
            fastest = [name for name in peers if name == PLAIN or name.startswith(OURS)]
            _print_table(subject, fastest, "decode", 2, [LARGE_BATCH], budget_seconds)


def _export(checkpoint: Path, target: Path) -> Path:
    """Export with int8 where it stays inside the budget."""
    try:
        _, bundle = export_checkpoint(checkpoint, target, precisions=["fp32", "int8"])
    except VAEError as error:
        click.echo(f"without int8: {error}\n")
        _, bundle = export_checkpoint(checkpoint, target)
    for variant in bundle.variants:
        click.echo(f"- {variant.name}: {variant.summary()}")
    click.echo()
    return target


def _print_table(
    subject: Subject,
    peers: Sequence[str],
    method: Method,
    threads: int,
    batches: Sequence[int],
    budget_seconds: float,
) -> None:
    input_shape = _write_plain_graph(subject, method)
    macs = multiplications(subject.plain_graph(method).read_bytes())
    click.echo(
        f"{method}, {threads} thread(s); {macs / 1e6:.2f} MMAC per image, "
        f"matrix product {matrix_rate(threads):.0f} GFLOP/s\n"
    )
    titles = [f"batch {batch:,}" for batch in batches]
    click.echo(header(["images/s (ratio to plain)", *titles, "GFLOP/s"]))
    arguments = {name: (name, subject, method, threads) for name in peers}
    for name, speeds in _measure(arguments, input_shape, batches, budget_seconds).items():
        cells = []
        for speed, ratio in zip(speeds.images_per_second, speeds.ratios, strict=True):
            cells.append(f"{speed:,.0f} ({ratio:.2f}×)")
        gigaflops = 2 * macs * max(speeds.images_per_second) / 1e9
        click.echo(row([name, *cells, f"{gigaflops:.0f}"]))
    click.echo()


def _write_plain_graph(subject: Subject, method: Method) -> tuple[int, ...]:
    """Export the module behind `method` as anyone would; returns its input's shape."""
    saved = load_checkpoint(subject.checkpoint)
    if method == "decode":
        shape: tuple[int, ...] = (saved.config.latent_dim,)
        model_bytes = plain_graph(saved.model.decoder, torch.rand(3, *shape))
    else:
        shape = saved.config.image_shape
        model_bytes = plain_graph(saved.model.encoder, torch.rand(3, *shape))
    subject.plain_graph(method).write_bytes(model_bytes)
    return shape


def _measure(
    arguments: dict[str, tuple[str, Subject, Method, int]],
    input_shape: tuple[int, ...],
    batches: Sequence[int],
    budget_seconds: float,
) -> dict[str, Speeds]:
    """The speeds of every peer that could run all batches."""
    rng = np.random.default_rng(0)
    speeds = {name: Speeds([], []) for name in arguments}
    with workers(build, arguments) as running:
        for batch in batches:
            inputs = rng.random((batch, *input_shape), np.float32)
            times = seconds(running, inputs, budget_seconds)
            for name, values in times.items():
                speeds[name].images_per_second.append(batch / float(np.median(values)))
                # Turn by turn, so that the machine's moods cancel out.
                speeds[name].ratios.append(float(np.median(np.divide(times[PLAIN], values))))
        return {name: speeds[name] for name in running}


if __name__ == "__main__":
    main()
