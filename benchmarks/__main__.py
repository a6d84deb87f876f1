"""python -m benchmarks CHECKPOINT: images per second, ratios to the plain graph, and GFLOP/s, as a Markdown table."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import click
import numpy as np
import torch

from benchmarks.peers import multiplications, peers, plain_graph
from benchmarks.timing import matrix_rate, seconds
from vae_export.export import export_checkpoint
from vae_runtime.bench import machine
from vae_runtime.errors import VAEError
from vae_train.checkpoint import Checkpoint, load_checkpoint

BATCHES = (1, 8, 32, 225)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("checkpoint", type=click.Path(path_type=Path, exists=True))
@click.option("--threads", multiple=True, type=click.IntRange(1), default=[1, 2], show_default=True)
@click.option("--batch", "batches", multiple=True, type=click.IntRange(1), default=BATCHES, show_default=True)
@click.option("--seconds", "budget", default=0.5, show_default=True, help="Per peer and cell of the table.")
@click.option("--compile/--no-compile", "compiled", default=True, help="With torch.compile, which needs a compiler.")
def main(checkpoint: Path, threads: tuple[int, ...], batches: tuple[int, ...], budget: float, compiled: bool) -> None:
    """Measure CHECKPOINT in torch, plain ONNX, OpenVINO (where installed) and as our bundle.

    Example: python -m benchmarks runs/digits/model.pt
    """
    saved = load_checkpoint(checkpoint)
    here = machine()
    click.echo(f"{here['cpu']}, {here['cpus']} CPUs, load {os.getloadavg()[0]:.1f}, torch {torch.__version__}\n")
    with tempfile.TemporaryDirectory() as folder:
        bundle = _export(checkpoint, Path(folder) / "bench.vae")
        for what in ("decode", "encode"):
            for count in threads:
                _table(saved, bundle, what, count, batches, budget, compiled)


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
    saved: Checkpoint, bundle: Path, what: str, threads: int, batches: tuple[int, ...], budget: float, compiled: bool
) -> None:
    shape = (saved.config.latent_dim,) if what == "decode" else saved.config.image_shape
    module = saved.model.decoder if what == "decode" else saved.model.encoder
    work = multiplications(plain_graph(module, torch.rand(3, *shape)))
    runs = dict(peers(saved, bundle, what, threads, compiled))
    rate = matrix_rate(threads)
    click.echo(f"{what}, {threads} thread(s); {work / 1e6:.2f} MMAC per image, matrix product {rate:.0f} GFLOP/s\n")
    click.echo("| images/s (ratio to plain) | " + " | ".join(f"batch {b}" for b in batches) + " | GFLOP/s |")
    click.echo("|---|" + "---|" * (len(batches) + 1))
    random = np.random.default_rng(0)
    speeds: dict[str, list[float]] = {name: [] for name in runs}
    for batch in batches:
        array = random.random((batch, *shape), np.float32)
        for name, times in seconds(runs, array, budget).items():
            speeds[name].append(batch / float(np.median(times)))
    for name, values in speeds.items():
        cells = [f"{v:,.0f} ({v / p:.2f}×)" for v, p in zip(values, speeds["plain ONNX"], strict=True)]
        click.echo(f"| {name} | " + " | ".join(cells) + f" | {2 * work * max(values) / 1e9:.0f} |")
    click.echo()


if __name__ == "__main__":
    main()
