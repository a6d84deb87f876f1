"""What `vae-train` does."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click

from vae_runtime.errors import VAEError
from vae_train import report
from vae_train.allocator import keep_large_buffers
from vae_train.checkpoint import load_state
from vae_train.cli.device import require_device
from vae_train.cli.interrupts import catch_interrupts
from vae_train.cli.settings import (
    TrainOptions,
    load_new_dataset,
    load_resumed_dataset,
    new_config,
    resumed_config,
)
from vae_train.cli.start_report import GAUSSIAN_HINT, start_report, suits_gaussian
from vae_train.config import TrainConfig
from vae_train.data import Dataset
from vae_train.distributed import joined_process_group
from vae_train.history import HISTORY_FILE, History
from vae_train.loop import BEST_FILE, Trainer, best_row, train
from vae_train.model import require_size
from vae_train.summary import heldout_name


def run(options: TrainOptions) -> bool:
    """Train as the options say; False when Ctrl-C ended it.

    Raises VAEError or click.UsageError for options that cannot be, before anything is written.
    """
    _require_right_folder(options)
    state = load_state(options.model_path) if options.resume else None
    config = new_config(options) if state is None else resumed_config(options, state)
    _require_possible(config, options)
    device = require_device(options.device)
    keep_large_buffers()

    def load_images() -> Dataset:
        if state is None:
            return load_new_dataset(options)
        return load_resumed_dataset(options, state)

    with joined_process_group(device) as (processes, local_device):
        # The main process alone downloads or converts what the others then find.
        dataset = processes.main_first(load_images)
        config = replace(config, image_shape=dataset.image_shape, fit=dataset.fit)
        trainer = Trainer(config, dataset, local_device, processes)
        if options.resume:
            trainer.resume(options.model_path)
        return _train(trainer, options)


def _require_right_folder(options: TrainOptions) -> None:
    path = options.model_path
    if path.exists() and not options.resume:
        raise VAEError(
            f"{path} exists: continue it with --resume, or choose another folder with -o"
        )
    if options.resume and not path.exists():
        raise VAEError(f"{path}: no such checkpoint, so there is nothing to resume")


def _require_possible(config: TrainConfig, options: TrainOptions) -> None:
    if options.size:
        require_size((1, *options.size), config.networks)
    if config.compile and not _has_compiler():
        raise VAEError("--compile needs a C++ compiler: install g++ or clang++, or leave it out")


def _has_compiler() -> bool:
    preferred = os.environ.get("CXX", "g++")
    return any(shutil.which(name) for name in (preferred, "clang++"))


def _train(trainer: Trainer, options: TrainOptions) -> bool:
    """Train to the end, or to Ctrl-C: False, and how to go on is said."""
    is_main = trainer.processes.is_main
    if is_main:
        report.prepare_folder(options.output)
        _say_what_begins(trainer, options)
    history = History(options.output / HISTORY_FILE)
    on_epoch = _epoch_reporter(trainer, history, options.output)
    with catch_interrupts(announce=is_main) as interrupted:
        finished = train(trainer, options.model_path, interrupted, on_epoch)
    if is_main and finished:
        report.write_pictures(trainer, options.output)
        heldout = heldout_name(trainer.config)
        elbo = trainer.summary[f"{heldout}_elbo"]
        click.echo(f"{options.model_path}: {heldout} ELBO {elbo:.2f} nats per image")
        _say_which_was_best(trainer, options)
    elif is_main:
        click.echo(f"Stopped; continue with {options.resume_command()}", err=True)
    return finished


def _say_which_was_best(trainer: Trainer, options: TrainOptions) -> None:
    """Where the last epoch isn't the best one, name the checkpoint that is."""
    best = best_row(trainer.history)
    last = trainer.history[-1]
    if best is last:
        return
    path = options.model_path.with_name(BEST_FILE)
    click.echo(
        f"{path}: epoch {best['epoch']:.0f} was better, ELBO {best['test_elbo']:.2f} in place of "
        f"{last['test_elbo']:.2f} nats"
    )


def _say_what_begins(trainer: Trainer, options: TrainOptions) -> None:
    for line in start_report(trainer):
        click.echo(line)
    if suits_gaussian(trainer.config) and not options.resume:
        click.echo(GAUSSIAN_HINT, err=True)


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
            f"epoch {row['epoch']}/{trainer.config.total_epochs}  "
            f"{_losses('train', row)}  {_losses('test', row)}  "
            f"ELBO {row['test_elbo']:.2f}  nats per image, {seconds:.0f} s"
        )

    return report_epoch


def _losses(split: str, row: dict[str, float]) -> str:
    reconstruction = row[f"{split}_reconstruction"]
    kl = row[f"{split}_kl"]
    return f"{split} {reconstruction + kl:.2f} = {reconstruction:.2f} + {kl:.2f} KL"
