"""python -m benchmarks.training: images per second of training beside what the CPU allows."""

from __future__ import annotations

import time
from dataclasses import replace

import click
import numpy as np
import torch

from benchmarks.plain import multiplications, plain_graph
from benchmarks.rates import convolution_rate, matrix_rate
from benchmarks.tables import header, row
from vae_runtime.console import CONTEXT_SETTINGS
from vae_train.allocator import keep_large_buffers
from vae_train.config import PRESETS
from vae_train.data import Dataset, Split
from vae_train.loop import Trainer

STEPS_PER_TURN = 20
# A step computes forward, and backward for the inputs and for the weights.
PASSES = 3
COLUMNS = (
    "preset",
    "batch",
    "limit images/s",
    "eager",
    "share",
    "of the convolution's",
    "bfloat16",
    "compiled",
)


class StopAfter:
    """Tells a trainer to stop once it has been asked this many times."""

    def __init__(self, count: int) -> None:
        self.left = count

    def __call__(self) -> bool:
        self.left -= 1
        return self.left <= 0


@click.command(context_settings=CONTEXT_SETTINGS)
@click.option(
    "--preset", "presets", multiple=True, type=click.Choice(list(PRESETS)), default=list(PRESETS)
)
@click.option("--threads", type=click.IntRange(1), default=2, show_default=True)
@click.option(
    "--steps", default=200, show_default=True, help="Of each variant; in turns of twenty."
)
@click.option(
    "--compile/--no-compile",
    "compiled",
    default=True,
    help="With torch.compile, which needs a compiler.",
)
@click.option(
    "--plain-malloc",
    is_flag=True,
    help="With glibc's allocator as it is, to see what vae-train's gains.",
)
def main(
    presets: tuple[str, ...], threads: int, steps: int, compiled: bool, plain_malloc: bool
) -> None:
    """Measure whole training steps, data loading included, on random images of MNIST's size.

    Example: python -m benchmarks.training --preset default
    """
    if not plain_malloc:
        keep_large_buffers()
    matrix = matrix_rate(threads)
    convolution = convolution_rate(threads)
    click.echo(
        f"{threads} threads, matrix product {matrix:.0f} GFLOP/s, "
        f"as a 1×1 convolution {convolution:.0f}\n"
    )
    click.echo(header(COLUMNS))
    data = _random_data()
    for name in presets:
        trainers = _trainers(name, data, compiled)
        speeds = _images_per_second(trainers, steps)
        limit = matrix * 1e9 / (2 * PASSES * _multiplications(trainers["eager"]))
        share = speeds["eager"] / limit
        cells = [
            name,
            f"{PRESETS[name].batch_size}",
            f"{limit:,.0f}",
            f"{speeds['eager']:,.0f}",
            f"{share:.0%}",
            f"{share * matrix / convolution:.0%}",
            f"{speeds['bfloat16']:,.0f}",
            f"{speeds['compiled']:,.0f}" if compiled else "–",
        ]
        click.echo(row(cells))


def _random_data() -> Dataset:
    images = np.random.default_rng(0).integers(0, 256, (60_000, 1, 28, 28), np.uint8)
    labels = np.zeros(len(images), np.int64)
    return Dataset(Split(images, labels), Split(images[:1], labels[:1]))


def _trainers(preset: str, data: Dataset, compiled: bool) -> dict[str, Trainer]:
    config = PRESETS[preset]
    trainers = {
        "eager": Trainer(config, data),
        "bfloat16": Trainer(replace(config, amp=True), data),
    }
    if compiled:
        trainers["compiled"] = Trainer(replace(config, compile=True), data)
    return trainers


def _multiplications(trainer: Trainer) -> int:
    """Multiply-adds of one image through both networks, forward."""
    encoder = plain_graph(trainer.model.encoder, torch.rand(3, *trainer.config.image_shape))
    decoder = plain_graph(trainer.model.decoder, torch.rand(3, trainer.config.latent_dim))
    return multiplications(encoder) + multiplications(decoder)


def _images_per_second(trainers: dict[str, Trainer], steps: int) -> dict[str, float]:
    """Medians over turns of some steps, the trainers one after the other."""
    steps_per_turn = min(STEPS_PER_TURN, steps)
    for trainer in trainers.values():
        # The first turn compiles and warms up.
        _time_one_turn(trainer, steps_per_turn)
    turns: dict[str, list[float]] = {name: [] for name in trainers}
    for _ in range(max(1, steps // STEPS_PER_TURN)):
        for name, trainer in trainers.items():
            turns[name].append(_time_one_turn(trainer, steps_per_turn))
    return {name: float(np.median(speeds)) for name, speeds in turns.items()}


def _time_one_turn(trainer: Trainer, steps: int) -> float:
    """Images per second of the next steps, fewer where the epoch ends before."""
    first = trainer.position.step
    began = time.perf_counter()
    finished_epoch = trainer.run_epoch(StopAfter(steps))
    elapsed = time.perf_counter() - began
    last = trainer.steps_per_epoch if finished_epoch else trainer.position.step
    return (last - first) * trainer.config.batch_size / elapsed


if __name__ == "__main__":
    main()
