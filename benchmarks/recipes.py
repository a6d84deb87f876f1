"""python -m benchmarks.recipes: what the literature offers for training, each beside preset `best`.

One change at a time. Trains on MNIST's training images without the last 5,000, on which it reports;
the test images stay unseen.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing import get_context
from typing import Any

import click
import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from benchmarks.tables import header, row
from vae_runtime.console import CONTEXT_SETTINGS
from vae_train.allocator import keep_large_buffers
from vae_train.config import PRESETS, TrainConfig
from vae_train.data import Dataset, Split, hold_out_validation, load_dataset
from vae_train.evaluation import evaluate_elbo
from vae_train.loop import Trainer
from vae_train.model import VAE
from vae_train.objective import Losses, reconstruction_loss, sample

VALIDATION_IMAGES = 5000
# Training images that the training ELBO is measured on.
TRAINING_ELBO_IMAGES = 5000
# The rest of the run has the full weight.
KL_WARM_UP_SHARE = 1 / 3
EMA_DECAY = 0.99
IMPORTANCE_SAMPLES = 3


class KLWarmUp(Trainer):
    """The KL term's weight rises from 0 to 1 over the first third (Sønderby et al. 2016)."""

    def kl_weight(self) -> float:
        epochs_done = self.position.epoch + self.position.step / self.steps_per_epoch
        return min(1.0, epochs_done / self.config.epochs / KL_WARM_UP_SHARE)


class WeightAveraging(Trainer):
    """An exponential moving average of the weights is evaluated (Polyak & Juditsky 1992)."""

    def __init__(self, config: TrainConfig, data: Dataset) -> None:
        super().__init__(config, data)
        self.average = AveragedModel(self.model, avg_fn=_moving_average)

    def step(self, part: Tensor, count: int, rate: float) -> list[float]:
        sums = super().step(part, count, rate)
        self.average.update_parameters(self.model)
        return sums


class ImportanceLosses(Losses):
    """The negative importance-weighted bound with three draws (Burda et al. 2016, equation 8)."""

    def forward(
        self, images: Tensor, epsilon: Tensor, noise: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        seen = images if noise is None else images + noise
        z_mean, log_var = self.vae.encoder(seen)
        draws = [epsilon]
        while len(draws) < IMPORTANCE_SAMPLES:
            draws.append(torch.randn_like(epsilon))
        log_weights = []
        for draw in draws:
            z = sample(z_mean, log_var, draw)
            log_p = -reconstruction_loss(self.vae.decoder.logits(z), images)
            log_weights.append(log_p + 0.5 * (draw.square() + log_var - z.square()).sum(1))
        bound = torch.stack(log_weights).logsumexp(0) - math.log(len(draws))
        return -bound, torch.zeros_like(bound)


class ImportanceWeighted(Trainer):
    def __init__(self, config: TrainConfig, data: Dataset) -> None:
        super().__init__(config, data)
        self.step_losses = ImportanceLosses(self.model, self.config.sampling)


class ReLUDecoder(Trainer):
    """ReLU in place of every SiLU."""

    def __init__(self, config: TrainConfig, data: Dataset) -> None:
        super().__init__(config, data)
        body = self.model.decoder.body
        for i, module in enumerate(body):
            if isinstance(module, nn.SiLU):
                body[i] = nn.ReLU()


@dataclass(frozen=True)
class Recipe:
    """A change to the preset: other settings, or another trainer."""

    settings: dict[str, Any] = field(default_factory=dict)
    trainer: Callable[[TrainConfig, Dataset], Trainer] = Trainer


@dataclass(frozen=True)
class Result:
    """Mean ELBOs in nats per image, and how long training took."""

    training_elbo: float
    validation_elbo: float
    minutes: float


RECIPES = {
    "as it is: Muon, peak 0.01, batch 64": Recipe(),
    "Adam, peak 3e-3": Recipe({"optimizer": "adam", "learning_rate": 3e-3}),
    "RMSprop, constant 1e-3": Recipe({"optimizer": "rmsprop", "learning_rate": 1e-3}),
    "peak 0.005": Recipe({"learning_rate": 0.005}),
    "peak 0.02": Recipe({"learning_rate": 0.02}),
    "peak 0.05": Recipe({"learning_rate": 0.05}),
    "no noise on what the encoder sees": Recipe({"encoder_noise": 0.0}),
    "half of the steps as warm-up": Recipe({"warmup": 0.5}),
    "batch 32": Recipe({"batch_size": 32}),
    "batch 128": Recipe({"batch_size": 128}),
    "weights averaged": Recipe(trainer=WeightAveraging),
    "KL warm-up": Recipe(trainer=KLWarmUp),
    "importance-weighted objective, K = 3": Recipe(trainer=ImportanceWeighted),
    "images shifted by up to 1 pixel": Recipe({"shift": 1}),
    "ReLU for the decoder's SiLU": Recipe(trainer=ReLUDecoder),
    "the book's networks": Recipe({"networks": "reference"}),
}


@click.command(context_settings=CONTEXT_SETTINGS)
@click.option("--data", default="mnist", show_default=True, help="As vae-train takes it.")
@click.option("--epochs", default=5, show_default=True)
@click.option("--limit", type=click.IntRange(100), help="Only the first training images.")
@click.option("--jobs", default=2, show_default=True, help="Recipes at once, one thread each.")
@click.option("--only", multiple=True, type=click.Choice(list(RECIPES)), help="These recipes.")
def main(data: str, epochs: int, limit: int | None, jobs: int, only: tuple[str, ...]) -> None:
    """Train each recipe and print its training and validation ELBO.

    Example: python -m benchmarks.recipes --epochs 5
    """
    os.environ["OMP_NUM_THREADS"] = "1"
    names = only or tuple(RECIPES)
    click.echo(header(["recipe", "training", "validation ELBO", "minutes"]))
    # A forked child would inherit torch's threads.
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        results = pool.map(partial(measure, data=data, epochs=epochs, limit=limit), names)
        for name, result in zip(names, results, strict=True):
            elbos = (f"{result.training_elbo:.2f}", f"{result.validation_elbo:.2f}")
            click.echo(row([name, *elbos, f"{result.minutes:.1f}"]))


def measure(name: str, data: str, epochs: int, limit: int | None) -> Result:
    """Train one recipe and evaluate it on training and validation images."""
    keep_large_buffers()
    recipe = RECIPES[name]
    validation = VALIDATION_IMAGES if limit is None else limit // 10
    dataset = hold_out_validation(load_dataset(data, limit), validation)
    config = replace(PRESETS["best"], epochs=epochs, **recipe.settings)
    torch.manual_seed(0)
    trainer = recipe.trainer(config, dataset)
    began = time.perf_counter()
    while not trainer.finished:
        trainer.run_epoch(lambda: False)
    minutes = (time.perf_counter() - began) / 60
    model = trainer.model
    if isinstance(trainer, WeightAveraging):
        averaged = trainer.average.module
        assert isinstance(averaged, VAE)
        model = averaged
    training = dataset.train.first(TRAINING_ELBO_IMAGES)
    return Result(_elbo(model, training), _elbo(model, dataset.test), minutes)


def _elbo(model: VAE, split: Split) -> float:
    return evaluate_elbo(model, "standard", np.asarray(split.images), samples=4).mean_elbo


def _moving_average(average: Tensor, weights: Tensor, _: Tensor | int) -> Tensor:
    return torch.lerp(average, weights, 1 - EMA_DECAY)


if __name__ == "__main__":
    main()
