"""The command lines of `vae-train` and `vae-eval`."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click
import torch

from vae_runtime.errors import VAEError
from vae_train import report
from vae_train.checkpoint import load_checkpoint
from vae_train.config import PRESETS
from vae_train.data import load_dataset
from vae_train.evaluation import evaluate_elbo
from vae_train.loop import Trainer, train

CONTINUE = 130  # the exit status of a process that Ctrl-C ended


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--data", default="mnist", show_default=True, help="'mnist', or a folder with MNIST-like IDX files.")
@click.option("--preset", type=click.Choice(list(PRESETS)), default="default", show_default=True)
@click.option("--epochs", type=click.IntRange(1), help="Passes over the data; the preset's own by default.")
@click.option("--limit", type=click.IntRange(1), help="Train and test on the first images only.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--output", "-o", type=click.Path(path_type=Path), default=Path("runs/vae"), show_default=True)
@click.option("--resume", is_flag=True, help="Continue the run in the output folder.")
@click.version_option(package_name="vae-edge")
def train_command(
    data: str,
    preset: str,
    epochs: int | None,
    limit: int | None,
    seed: int,
    device: str,
    output: Path,
    resume: bool,
) -> None:
    """Train a variational autoencoder.

    The output folder gets model.pt, history.csv and three pictures: losses.png, grid.png, latents.png.

    Example: vae-train --data mnist --preset default -o runs/digits
    """
    path = output / "model.pt"
    if path.exists() and not resume:
        raise VAEError(f"{path} exists: continue it with --resume, or choose another folder with -o")
    if resume and not path.exists():
        raise VAEError(f"{path}: no such checkpoint, so there is nothing to resume")
    dataset = load_dataset(data, limit)
    config = replace(PRESETS[preset], seed=seed, image_shape=dataset.image_shape)
    trainer = Trainer(replace(config, epochs=epochs) if epochs else config, dataset, _device(device))
    if resume:
        trainer.resume(path)
    report.prepare(output)
    history = report.History(output / "history.csv", trainer.position.epoch)
    with _interrupt() as interrupted:
        finished = train(trainer, path, interrupted, _echo_and(history, trainer.config.epochs))
    if not finished:
        click.echo(f"Stopped; continue with --resume -o {output}", err=True)
        raise SystemExit(CONTINUE)
    report.write_pictures(trainer, output)
    click.echo(f"{path}: test ELBO {trainer.training['test_elbo']:.2f} nats per image")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("checkpoint", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--data", default="mnist", show_default=True, help="'mnist', or a folder with MNIST-like IDX files.")
@click.option("--samples", type=click.IntRange(1), default=16, show_default=True, help="Draws of z per image.")
@click.option("--limit", type=click.IntRange(1), help="Only the first test images.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
@click.version_option(package_name="vae-edge")
def evaluate_command(checkpoint: tuple[Path, ...], data: str, samples: int, limit: int | None, seed: int) -> None:
    """Print the true test ELBO of checkpoints and both its parts, in nats per image, with 95 % intervals.

    Example: vae-eval runs/digits/model.pt runs/book/model.pt
    """
    loaded = [(path, load_checkpoint(path)) for path in checkpoint]
    images = load_dataset(data, limit).test.images
    for path, saved in loaded:
        if images.shape[1:] != saved.config.image_shape:
            raise VAEError(f"{path}: made for images {saved.config.image_shape}, not {images.shape[1:]}")
        result = evaluate_elbo(saved.model, saved.config.sampling, images, samples=samples, seed=seed)
        click.echo(
            f"{path}: test ELBO {result.mean:.2f} ± {result.half_width:.2f}, "
            f"reconstruction {result.reconstruction.mean():.2f}, KL {result.kl.mean():.2f} "
            f"nats per image ({len(images)} images, {samples} samples each)"
        )


def _device(name: str) -> str:
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise VAEError(f"--device {name}: not a device; use auto, cpu, cuda or cuda:N") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise VAEError(f"--device {name}: this torch finds no usable CUDA device")
    return name


def _echo_and(history: report.History, epochs: int) -> Callable[[dict[str, float], float], None]:
    def row(values: dict[str, float], seconds: float) -> None:
        history.append(values, seconds)
        train_sum = values["train_reconstruction"] + values["train_kl"]
        test_sum = values["test_reconstruction"] + values["test_kl"]
        click.echo(
            f"epoch {values['epoch']}/{epochs}  "
            f"train {train_sum:.2f} = {values['train_reconstruction']:.2f} + {values['train_kl']:.2f} KL  "
            f"test {test_sum:.2f} = {values['test_reconstruction']:.2f} + {values['test_kl']:.2f} KL  "
            f"nats per image, {seconds:.0f} s"
        )

    return row


@contextmanager
def _interrupt() -> Iterator[Callable[[], bool]]:
    """Ctrl-C sets a flag that the loop looks at between two steps; a second one interrupts as usual."""
    pressed: list[int] = []

    def note(number: int, frame: object) -> None:
        pressed.append(number)
        signal.signal(signal.SIGINT, previous)
        click.echo("\nStopping after this step …", err=True)

    previous = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, previous)
