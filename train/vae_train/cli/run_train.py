"""What `vae-train` does."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import click

from vae_runtime.bundle import LikelihoodName
from vae_runtime.errors import VAEError
from vae_train import report
from vae_train.allocator import keep_large_buffers
from vae_train.cli.device import require_device
from vae_train.cli.interrupts import catch_interrupts
from vae_train.config import PRESETS, TrainConfig
from vae_train.data import Dataset, hold_out_validation, load_dataset
from vae_train.distributed import joined_process_group
from vae_train.history import History
from vae_train.loop import Trainer, train
from vae_train.model import require_size
from vae_train.summary import heldout_name

MODEL_FILE = "model.pt"


@dataclass(frozen=True)
class TrainOptions:
    """The options of `vae-train`; None stands for what the preset or the data says."""

    data: str
    preset: str
    epochs: int | None
    limit: int | None
    validation: int | None
    image_size: int | None
    latent_dim: int
    likelihood: LikelihoodName
    seed: int
    device: str
    threads: int | None
    amp: bool
    compile: bool
    output: Path
    resume: bool

    @property
    def model_path(self) -> Path:
        return self.output / MODEL_FILE

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width."""
        if self.image_size is None:
            return None
        return self.image_size, self.image_size

    def load_dataset(self) -> Dataset:
        return load_dataset(self.data, self.limit, size=self.size)

    def config(self, dataset: Dataset) -> TrainConfig:
        """The preset with what the options and the data set change in it."""
        preset = PRESETS[self.preset]
        return replace(
            preset,
            epochs=self.epochs or preset.epochs,
            seed=self.seed,
            image_shape=dataset.image_shape,
            latent_dim=self.latent_dim,
            likelihood=self.likelihood,
            validation=self.validation or 0,
            fit=dataset.fit,
            amp=self.amp,
            compile=self.compile,
        )


def run(options: TrainOptions) -> bool:
    """Train as the options say; False when Ctrl-C ended it.

    Raises VAEError for options that cannot be, before anything is read or written.
    """
    _require_possible(options)
    device = require_device(options.device)
    keep_large_buffers()
    with joined_process_group(device) as (processes, local_device):
        # The main process alone downloads or converts what the others then find.
        dataset = processes.main_first(options.load_dataset)
        if options.validation:
            dataset = hold_out_validation(dataset, options.validation)
        trainer = Trainer(options.config(dataset), dataset, local_device, processes)
        if options.resume:
            trainer.resume(options.model_path)
        return _train(trainer, options)


def _require_possible(options: TrainOptions) -> None:
    path = options.model_path
    if path.exists() and not options.resume:
        raise VAEError(
            f"{path} exists: continue it with --resume, or choose another folder with -o"
        )
    if options.resume and not path.exists():
        raise VAEError(f"{path}: no such checkpoint, so there is nothing to resume")
    if options.size:
        require_size((1, *options.size), PRESETS[options.preset].networks)
    if options.compile and not _has_compiler():
        raise VAEError("--compile needs a C++ compiler: install g++ or clang++, or leave it out")


def _has_compiler() -> bool:
    preferred = os.environ.get("CXX", "g++")
    return any(shutil.which(name) for name in (preferred, "clang++"))


def _train(trainer: Trainer, options: TrainOptions) -> bool:
    """Train to the end, or to Ctrl-C: False, and how to go on is said."""
    is_main = trainer.processes.is_main
    if is_main:
        report.prepare_folder(options.output)
    history = History(options.output / report.HISTORY_FILE)
    on_epoch = _epoch_reporter(trainer, history, options.output)
    with catch_interrupts(announce=is_main) as interrupted:
        finished = train(trainer, options.model_path, interrupted, on_epoch)
    if is_main and finished:
        report.write_charts(trainer, options.output)
        heldout = heldout_name(trainer.config)
        elbo = trainer.summary[f"{heldout}_elbo"]
        click.echo(f"{options.model_path}: {heldout} ELBO {elbo:.2f} nats per image")
    elif is_main:
        click.echo(f"Stopped; continue with --resume -o {options.output}", err=True)
    return finished


def _epoch_reporter(
    trainer: Trainer, history: History, output: Path
) -> Callable[[dict[str, float], float], None]:
    """What the main process writes and says after each epoch."""

    def report_epoch(row: dict[str, float], seconds: float) -> None:
        if not trainer.processes.is_main:
            return
        history.write(trainer.history, seconds)
        report.write_epoch_grid(trainer, output)
        click.echo(
            f"epoch {row['epoch']}/{trainer.config.epochs}  "
            f"{_losses('train', row)}  {_losses('test', row)}  "
            f"ELBO {row['test_elbo']:.2f}  nats per image, {seconds:.0f} s"
        )

    return report_epoch


def _losses(split: str, row: dict[str, float]) -> str:
    reconstruction = row[f"{split}_reconstruction"]
    kl = row[f"{split}_kl"]
    return f"{split} {reconstruction + kl:.2f} = {reconstruction:.2f} + {kl:.2f} KL"
