"""python -m benchmarks CHECKPOINT: images per second, ratios to the plain graph, and GFLOP/s, as a Markdown table."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
import torch

from benchmarks.peers import PLAIN, Subject, build, multiplications, names, plain_graph
from benchmarks.timing import matrix_rate, seconds, workers
from vae_export.export import export_checkpoint
from vae_runtime.bench import machine
from vae_runtime.errors import VAEError
from vae_train.checkpoint import load_checkpoint

BATCHES = (1, 8, 32, 225)
MANY = 10_000


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("checkpoint", type=click.Path(path_type=Path, exists=True))
@click.option("--threads", multiple=True, type=click.IntRange(1), default=[1, 2], show_default=True)
@click.option("--batch", "batches", multiple=True, type=click.IntRange(1), default=BATCHES, show_default=True)
@click.option("--seconds", "budget", default=1.0, show_default=True, help="Per peer and cell of the table.")
@click.option("--compile/--no-compile", "compiled", default=True, help="With torch.compile, which needs a compiler.")
@click.option("--many/--no-many", default=True, help=f"Also decode {MANY:,} images in one call on two threads.")
def main(
    checkpoint: Path, threads: tuple[int, ...], batches: tuple[int, ...], budget: float, compiled: bool, many: bool
) -> None:
    """Measure CHECKPOINT in torch, plain ONNX, OpenVINO (where installed) and as our bundle.

    Example: python -m benchmarks runs/digits/model.pt
    """
    here = machine()
    click.echo(f"{here['cpu']}, {here['cpus']} CPUs, load {os.getloadavg()[0]:.1f}, torch {torch.__version__}\n")
    with tempfile.TemporaryDirectory() as folder:
        subject = Subject(checkpoint, _export(checkpoint, Path(folder) / "bench.vae"), Path(folder))
        everyone = names(subject.bundle, compiled)
        for what in ("decode", "encode"):
            for count in threads:
                _table(subject, everyone, what, count, batches, budget)
        if many:
            ours = [name for name in everyone if name == PLAIN or name.startswith("ours")]
            _table(subject, ours, "decode", 2, [MANY], budget)


def _export(checkpoint: Path, target: Path) -> Path:
    """With int8 where it stays inside the budget."""
    try:
        _, bundle = export_checkpoint(checkpoint, target, precisions=["fp32", "int8"])
    except VAEError as error:
        click.echo(f"without int8: {error}\n")
        _, bundle = export_checkpoint(checkpoint, target)
    for variant in bundle.variants:
        click.echo(
            f"- {variant.name}: {(variant.encoder.bytes + variant.decoder.bytes) / 1e6:.2f} MB, "
            f"ELBO {variant.elbo_change or 0:+.3f} nats on held-out images"
        )
    click.echo()
    return target


def _table(
    subject: Subject, peers: Sequence[str], what: str, threads: int, batches: Sequence[int], budget: float
) -> None:
    saved = load_checkpoint(subject.checkpoint)
    shape = (saved.config.latent_dim,) if what == "decode" else saved.config.image_shape
    graph = plain_graph(saved.model.decoder if what == "decode" else saved.model.encoder, torch.rand(3, *shape))
    (subject.plain / f"{what}.onnx").write_bytes(graph)
    work, rate = multiplications(graph), matrix_rate(threads)
    click.echo(f"{what}, {threads} thread(s); {work / 1e6:.2f} MMAC per image, matrix product {rate:.0f} GFLOP/s\n")
    click.echo("| images/s (ratio to plain) | " + " | ".join(f"batch {b:,}" for b in batches) + " | GFLOP/s |")
    click.echo("|---|" + "---|" * (len(batches) + 1))
    random = np.random.default_rng(0)
    speeds: dict[str, list[float]] = {name: [] for name in peers}
    ratios: dict[str, list[float]] = {name: [] for name in peers}
    with workers(build, {name: (name, subject, what, threads) for name in peers}) as running:
        for batch in batches:
            times = seconds(running, random.random((batch, *shape), np.float32), budget)
            for name, values in times.items():
                speeds[name].append(batch / float(np.median(values)))
                ratios[name].append(float(np.median(np.array(times[PLAIN]) / values)))
    for name, values in ((name, values) for name, values in speeds.items() if len(values) == len(batches)):
        cells = [f"{v:,.0f} ({r:.2f}×)" for v, r in zip(values, ratios[name], strict=True)]
        click.echo(f"| {name} | " + " | ".join(cells) + f" | {2 * work * max(values) / 1e9:.0f} |")
    click.echo()


if __name__ == "__main__":
    main()
