"""The command lines of `vae-train` and `vae-eval`."""

from __future__ import annotations

import math
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray

from vae_runtime.errors import VAEError
from vae_train import report
from vae_train.allocator import keep_large_buffers
from vae_train.checkpoint import Checkpoint, load_checkpoint
from vae_train.config import PRESETS
from vae_train.data import load_dataset, without_test
from vae_train.distributed import joined
from vae_train.evaluation import active_units, evaluate_elbo, importance_weighted_bound
from vae_train.loop import Trainer, train
from vae_train.model import require_size

CONTINUE = 130  # the exit status of a process that Ctrl-C ended


data_option = click.option(
    "--data", default="mnist", show_default=True,
    help="'mnist', a folder with IDX files or pictures (sub-folders are labels), or a .npy or .npz file.",
)  # fmt: skip


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@data_option
@click.option("--preset", type=click.Choice(list(PRESETS)), default="default", show_default=True)
@click.option("--epochs", type=click.IntRange(1), help="Passes over the data; the preset's own by default.")
@click.option("--limit", type=click.IntRange(1), help="Train and test on the first images only.")
@click.option("--validation", type=click.IntRange(1), help="Hold out so many training images in place of the test set.")
@click.option("--image-size", type=click.IntRange(16, 128), help="Crop and scale pictures to so many pixels squared.")
@click.option("--latent-dim", type=click.IntRange(1, 256), default=2, show_default=True)
@click.option(
    "--likelihood", type=click.Choice(["bernoulli", "gaussian"]), default="bernoulli", show_default=True,
    help="gaussian, with a learned variance per channel, suits photographs.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--amp", is_flag=True, help="Compute in bfloat16; pays where the device has it.")
@click.option("--compile", "compiled", is_flag=True, help="Use torch.compile, which needs a C++ compiler.")
@click.option("--output", "-o", type=click.Path(path_type=Path), default=Path("runs/vae"), show_default=True)
@click.option("--resume", is_flag=True, help="Continue the run in the output folder.")
@click.version_option(package_name="vae-edge")
def train_command(
    data: str,
    preset: str,
    epochs: int | None,
    limit: int | None,
    validation: int | None,
    image_size: int | None,
    latent_dim: int,
    likelihood: str,
    seed: int,
    device: str,
    amp: bool,
    compiled: bool,
    output: Path,
    resume: bool,
) -> None:
    """Train a variational autoencoder.

    The output folder gets model.pt, history.csv, pictures (losses.png, grid.png, latents.png, one grid per epoch in
    grids/) and learning.gif, which shows the latent space being learned.

    Example: vae-train --data mnist --preset default -o runs/digits
    """
    path = output / "model.pt"
    if path.exists() and not resume:
        raise VAEError(f"{path} exists: continue it with --resume, or choose another folder with -o")
    if resume and not path.exists():
        raise VAEError(f"{path}: no such checkpoint, so there is nothing to resume")
    keep_large_buffers()
    size = (image_size, image_size) if image_size else None
    if size:
        require_size((1, *size), PRESETS[preset].networks)
    if compiled and not any(shutil.which(name) for name in (os.environ.get("CXX", "g++"), "clang++")):
        raise VAEError("--compile needs a C++ compiler: install g++ or clang++, or leave it out")
    with joined(_device(device)) as (world, own_device):
        # The first process alone downloads or converts what the others then find.
        dataset = world.first_alone(lambda: load_dataset(data, limit, size=size))
        if validation:
            dataset = without_test(dataset, validation)
        config = replace(
            PRESETS[preset],
            epochs=epochs or PRESETS[preset].epochs,
            seed=seed,
            image_shape=dataset.image_shape,
            latent_dim=latent_dim,
            likelihood=likelihood,
            validation=validation or 0,
            fit=dataset.fit,
            amp=amp,
            compile=compiled,
        )
        finished = _run(Trainer(config, dataset, own_device, world), output, resume)
    if not finished:
        raise SystemExit(CONTINUE)


def _run(trainer: Trainer, output: Path, resume: bool) -> bool:
    """Train to the end, or to Ctrl-C: False, and how to go on is said."""
    path, is_main = output / "model.pt", trainer.world.is_main
    if resume:
        trainer.resume(path)
    if is_main:
        report.prepare(output)
    history = report.History(output / "history.csv")
    with _interrupt(is_main) as interrupted:
        finished = train(trainer, path, interrupted, _each_epoch(trainer, history, output))
    if is_main and finished:
        report.write_pictures(trainer, output)
        held_out = "validation" if trainer.config.validation else "test"
        click.echo(f"{path}: {held_out} ELBO {trainer.training[f'{held_out}_elbo']:.2f} nats per image")
    elif is_main:
        click.echo(f"Stopped; continue with --resume -o {output}", err=True)
    return finished


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("checkpoint", nargs=-1, required=True, type=click.Path(path_type=Path))
@data_option
@click.option("--samples", type=click.IntRange(1), default=16, show_default=True, help="Draws of z per image.")
@click.option(
    "--importance", type=click.IntRange(1), metavar="K",
    help="Also the importance-weighted bound with K draws per image; slow.",
)  # fmt: skip
@click.option("--limit", type=click.IntRange(1), help="Only the first test images.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
@click.version_option(package_name="vae-edge")
def evaluate_command(
    checkpoint: tuple[Path, ...], data: str, samples: int, importance: int | None, limit: int | None, seed: int
) -> None:
    """Print the true test ELBO of checkpoints and more, one column per model, in nats per image with 95 % intervals.

    Example: vae-eval runs/digits/model.pt runs/book/model.pt
    """
    columns = []
    for path in checkpoint:
        saved = load_checkpoint(path)
        channels, *size = saved.config.image_shape
        images = load_dataset(data, limit, size=(size[0], size[1]), channels=channels).test.images
        if images.shape[1:] != saved.config.image_shape:
            raise VAEError(f"{path}: made for images {saved.config.image_shape}, not {images.shape[1:]}")
        columns.append(_column(saved, images, samples, importance, seed))
    width = max(12, *(len(str(path)) for path in checkpoint), *(len(v) for column in columns for v in column.values()))
    click.echo(
        f"{len(images)} images, {samples} samples each".ljust(32) + "".join(f"  {p!s:>{width}}" for p in checkpoint)
    )
    for row in columns[0]:
        click.echo(row.ljust(32) + "".join(f"  {column[row]:>{width}}" for column in columns))


def _column(
    saved: Checkpoint, images: NDArray[np.uint8], samples: int, importance: int | None, seed: int
) -> dict[str, str]:
    """What vae-eval prints of one model, by row."""
    model, sampling = saved.model, saved.config.sampling
    result = evaluate_elbo(model, sampling, images, samples=samples, seed=seed)
    rows = {
        "test ELBO": interval(result.elbo),
        "reconstruction": interval(result.reconstruction),
        "KL": interval(result.kl),
    }
    if importance:
        bound = importance_weighted_bound(model, sampling, images, samples=importance, seed=seed)
        rows[f"importance-weighted, K = {importance}"] = interval(bound)
    rows["active units"] = f"{active_units(model, sampling, images)} of {saved.config.latent_dim}"
    return rows


def interval(values: NDArray[np.float64]) -> str:
    """The mean and half of its 95 % interval over images."""
    return f"{values.mean():.2f} ± {1.96 * values.std() / math.sqrt(len(values)):.2f}"


def _device(name: str) -> str:
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, index = name.partition(":")
    if name != "cpu" and not (kind == "cuda" and (index.isdigit() or name == "cuda")):
        raise VAEError(f"--device {name}: not a device; use auto, cpu, cuda or cuda:N")
    if kind == "cuda" and not torch.cuda.is_available():
        raise VAEError(f"--device {name}: this torch finds no usable CUDA device")
    if int(index or 0) and int(index) >= torch.cuda.device_count():
        raise VAEError(f"--device {name}: torch finds {torch.cuda.device_count()} CUDA devices, numbered from 0")
    return name


def _each_epoch(trainer: Trainer, history: report.History, output: Path) -> Callable[[dict[str, float], float], None]:
    def row(values: dict[str, float], seconds: float) -> None:
        if not trainer.world.is_main:
            return
        history.write(trainer.history, seconds)
        report.write_epoch_grid(trainer, output)
        train_sum = values["train_reconstruction"] + values["train_kl"]
        test_sum = values["test_reconstruction"] + values["test_kl"]
        click.echo(
            f"epoch {values['epoch']}/{trainer.config.epochs}  "
            f"train {train_sum:.2f} = {values['train_reconstruction']:.2f} + {values['train_kl']:.2f} KL  "
            f"test {test_sum:.2f} = {values['test_reconstruction']:.2f} + {values['test_kl']:.2f} KL  "
            f"ELBO {values['test_elbo']:.2f}  nats per image, {seconds:.0f} s"
        )

    return row


@contextmanager
def _interrupt(speaks: bool) -> Iterator[Callable[[], bool]]:
    """Ctrl-C, or torchrun's SIGTERM, sets a flag that the loop looks at after each step; a second one ends at once."""
    pressed: list[int] = []
    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, frame: object) -> None:
        pressed.append(number)
        signal.signal(number, previous[signal.Signals(number)])
        if speaks:
            click.echo("\nStopping after this step …", err=True)

    for number in previous:
        signal.signal(number, note)
    try:
        yield lambda: bool(pressed)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
