"""python -m benchmarks.recipes: what the literature offers for training, each against preset `best`, one at a time.

Trains on MNIST's training images without the last 5,000, on which it reports; the test images stay unseen.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from typing import Any

import click
import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from vae_train.allocator import keep_large_buffers
from vae_train.config import PRESETS, TrainConfig
from vae_train.data import Split, load_dataset, without_test
from vae_train.evaluation import evaluate_elbo
from vae_train.loop import Trainer
from vae_train.model import VAE
from vae_train.objective import Losses, reconstruction_loss, sample


class WarmedUp(Trainer):
    """The KL term's weight rises from 0 to 1 over the first third of the run (Sønderby et al. 2016)."""

    def _kl_weight(self) -> float:
        done = self.position.epoch + self.position.step / self.steps_per_epoch
        return min(1.0, 3 * done / self.config.epochs)


class Averaged(Trainer):
    """Exponential moving average of the weights, decay 0.99, evaluated in their place (Polyak & Juditsky 1992)."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.average = AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(0.99))

    def _step(self, part: Tensor, count: int, rate: float) -> list[float]:
        sums = super()._step(part, count, rate)
        self.average.update_parameters(self.model)
        return sums


class ImportanceLosses(Losses):
    """The negative importance-weighted bound with three draws (Burda et al. 2016, equation 8)."""

    def forward(self, images: Tensor, epsilon: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        z_mean, log_var = self.vae.encoder(images if noise is None else images + noise)
        weights = []
        for draw in (epsilon, torch.randn_like(epsilon), torch.randn_like(epsilon)):
            z = sample(z_mean, log_var, draw)
            log_p = -reconstruction_loss(self.vae.decoder.logits(z), images)
            weights.append(log_p + 0.5 * (draw.square() + log_var - z.square()).sum(1))
        bound = torch.stack(weights).logsumexp(0) - math.log(len(weights))
        return -bound, torch.zeros_like(bound)


class Importance(Trainer):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.step_losses = ImportanceLosses(self.model, self.config.sampling)


class Rectified(Trainer):
    """ReLU in the place of every SiLU."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        body = self.model.decoder.body
        for i, module in enumerate(body):
            if isinstance(module, nn.SiLU):
                body[i] = nn.ReLU()


@dataclass(frozen=True)
class Recipe:
    """A change to the preset: other settings, or another trainer."""

    change: dict[str, Any]
    trainer: Callable[[TrainConfig, Any], Trainer] = Trainer


RECIPES = {
    "as it is: Muon, peak 0.01, batch 64": Recipe({}),
    "Adam, peak 3e-3": Recipe({"optimizer": "adam", "learning_rate": 3e-3}),
    "RMSprop, constant 1e-3": Recipe({"optimizer": "rmsprop", "learning_rate": 1e-3}),
    "peak 0.005": Recipe({"learning_rate": 0.005}),
    "peak 0.02": Recipe({"learning_rate": 0.02}),
    "peak 0.05": Recipe({"learning_rate": 0.05}),
    "no noise on what the encoder sees": Recipe({"encoder_noise": 0.0}),
    "half of the steps as warm-up": Recipe({"warmup": 0.5}),
    "batch 32": Recipe({"batch_size": 32}),
    "batch 128": Recipe({"batch_size": 128}),
    "weights averaged": Recipe({}, Averaged),
    "KL warm-up": Recipe({}, WarmedUp),
    "importance-weighted objective, K = 3": Recipe({}, Importance),
    "images shifted by up to 1 pixel": Recipe({"shift": 1}),
    "ReLU for the decoder's SiLU": Recipe({}, Rectified),
    "the book's networks": Recipe({"networks": "reference"}),
}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--epochs", default=5, show_default=True)
@click.option("--limit", type=click.IntRange(100), help="Only the first training images.")
@click.option("--jobs", default=2, show_default=True, help="Recipes at once, one thread each.")
@click.option("--only", multiple=True, type=click.Choice(list(RECIPES)), help="These recipes.")
def main(epochs: int, limit: int | None, jobs: int, only: tuple[str, ...]) -> None:
    """Train each recipe and print its training and validation ELBO.

    Example: python -m benchmarks.recipes --epochs 5
    """
    os.environ["OMP_NUM_THREADS"] = "1"
    names = only or tuple(RECIPES)
    click.echo("| recipe | training | validation ELBO | minutes |\n|---|---|---|---|")
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        for name, row in zip(names, pool.map(measure, names, [epochs] * len(names), [limit] * len(names)), strict=True):
            click.echo(f"| {name} | {row[0]:.2f} | {row[1]:.2f} | {row[2]:.1f} |")


def measure(name: str, epochs: int, limit: int | None) -> tuple[float, float, float]:
    """The ELBO on the first 5,000 training images and on the validation images, and minutes of training."""
    keep_large_buffers()
    recipe = RECIPES[name]
    data = without_test(load_dataset("mnist", limit), 5000 if limit is None else limit // 10)
    torch.manual_seed(0)
    trainer = recipe.trainer(replace(PRESETS["best"], epochs=epochs, **recipe.change), data)
    began = time.perf_counter()
    while not trainer.finished:
        trainer.run_epoch(lambda: False)
    minutes = (time.perf_counter() - began) / 60
    model = trainer.average.module if isinstance(trainer, Averaged) else trainer.model
    return _elbo(model, data.train.first(5000)), _elbo(model, data.test), minutes


def _elbo(model: VAE, split: Split) -> float:
    return evaluate_elbo(model, "standard", np.asarray(split.images), samples=4).mean


if __name__ == "__main__":
    main()
