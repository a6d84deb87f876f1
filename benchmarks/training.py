"""python -m benchmarks.training: images per second of training beside what the matrix-multiply rate allows."""

from __future__ import annotations

import time
from dataclasses import replace

import click
import numpy as np
import torch

from benchmarks.peers import multiplications, plain_graph
from benchmarks.timing import convolution_rate, matrix_rate
from vae_train.allocator import keep_large_buffers
from vae_train.config import PRESETS
from vae_train.data import Dataset, Split
from vae_train.loop import Trainer

WARM = 20
PASSES = 3  # forward, and backward for the inputs and for the weights


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--preset", "presets", multiple=True, type=click.Choice(list(PRESETS)), default=list(PRESETS))
@click.option("--threads", type=click.IntRange(1), default=2, show_default=True)
@click.option("--steps", default=200, show_default=True, help="Of each variant; in turns of twenty.")
@click.option("--compile/--no-compile", "compiled", default=True, help="With torch.compile, which needs a compiler.")
@click.option("--plain-malloc", is_flag=True, help="With glibc's allocator as it is, to see what vae-train's gains.")
def main(presets: tuple[str, ...], threads: int, steps: int, compiled: bool, plain_malloc: bool) -> None:
    """Measure whole training steps, data loading included, on random images of MNIST's size.

    Example: python -m benchmarks.training --preset default
    """
    if not plain_malloc:
        keep_large_buffers()
    images = np.random.default_rng(0).integers(0, 256, (60_000, 1, 28, 28), np.uint8)
    labels = np.zeros(len(images), np.int64)
    data = Dataset(Split(images, labels), Split(images[:1], labels[:1]))
    rate, convolution = matrix_rate(threads), convolution_rate(threads)
    click.echo(f"{threads} threads, matrix product {rate:.0f} GFLOP/s, as a 1×1 convolution {convolution:.0f}\n")
    click.echo("| preset | batch | limit images/s | eager | share | of the convolution's | bfloat16 | compiled |")
    click.echo("|---|---|---|---|---|---|---|---|")
    for name in presets:
        config = PRESETS[name]
        eager = Trainer(config, data)
        limit = rate * 1e9 / (2 * PASSES * _multiplications(eager))
        variants = {"eager": eager, "bfloat16": Trainer(replace(config, amp=True), data)}
        if compiled:
            variants["compiled"] = Trainer(replace(config, compile=True), data)
        speeds = _images_per_second(variants, steps)
        cells = " | ".join(f"{speeds[v]:,.0f}" if v in speeds else "–" for v in ("bfloat16", "compiled"))
        share = speeds["eager"] / limit
        click.echo(
            f"| {name} | {config.batch_size} | {limit:,.0f} | {speeds['eager']:,.0f} | {share:.0%} "
            f"| {share * rate / convolution:.0%} | {cells} |"
        )


def _multiplications(trainer: Trainer) -> int:
    """Multiply-adds of one image through both networks, forward."""
    encoder, decoder = trainer.model.encoder, trainer.model.decoder
    dim = trainer.config.latent_dim
    return multiplications(plain_graph(encoder, torch.rand(3, 1, 28, 28))) + multiplications(
        plain_graph(decoder, torch.rand(3, dim))
    )


def _images_per_second(variants: dict[str, Trainer], steps: int) -> dict[str, float]:
    """Medians over turns of twenty steps, the variants one after the other."""
    turns: dict[str, list[float]] = {name: [] for name in variants}
    for turn in range(-1, max(1, steps // WARM)):  # one to warm up
        for name, trainer in variants.items():
            counter = iter(range(10**9))
            first, began = trainer.position.step, time.perf_counter()
            finished = trainer.run_epoch(lambda counter=counter: next(counter) >= WARM - 1)  # type: ignore[misc]
            steps_done = (trainer.steps_per_epoch if finished else trainer.position.step) - first
            if turn >= 0:
                turns[name].append(steps_done * trainer.config.batch_size / (time.perf_counter() - began))
    return {name: float(np.median(values)) for name, values in turns.items()}


if __name__ == "__main__":
    main()
