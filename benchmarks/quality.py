"""python -m benchmarks.quality [BUNDLE…]: are generated digits recognized?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np
from torch import nn

import vae_runtime
from benchmarks.classifier import accuracy, probabilities, train_classifier
from benchmarks.tables import header, row
from vae_runtime.arrays import Float32, UInt8
from vae_runtime.console import CONTEXT_SETTINGS
from vae_train.data import Dataset, load_dataset

TEMPERATURES = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.5, 1.0)
# The classifier recognizes an image when it gives one digit this probability.
MIN_PROBABILITY = 0.9
SAMPLES = 10_000
# Of the draws from the data's density.
DATA_TEMPERATURES = (1.0, 0.5, 0.1)
# Variance of z_mean over the images beyond which a latent dimension counts as active (Burda et al.
# 2016, section 5.2).
MIN_ACTIVE_VARIANCE = 0.01
# Of the importance-weighted bound, which takes a thousand decodings per image.
BOUND_IMAGES = 1000
BOUND_SAMPLES = 1000


@click.command(context_settings=CONTEXT_SETTINGS)
@click.argument("bundles", nargs=-1, type=click.Path(path_type=Path, exists=True))
@click.option("--data", default="mnist", show_default=True, help="Trains and tests the classifier.")
@click.option(
    "-n", "count", default=1000, show_default=True, help="Images per label and temperature."
)
def main(bundles: tuple[Path, ...], data: str, count: int) -> None:
    """Judge BUNDLES, by default the embedded model.

    Prints the share of samples, from the prior and from the data's density, that the classifier
    recognizes with p >= 0.9, and their variety; the ELBO by
    precision, the importance-weighted bound and the active units (Burda et al. 2016); and over
    temperatures how often it sees the label that was asked for, and how varied the images are: the
    mean standard deviation of a pixel over the images of a label, beside that of the test images.

    Example: python -m benchmarks.quality runs/digits/model.vae
    """
    dataset = load_dataset(data)
    judge = train_classifier(dataset)
    click.echo(
        f"classifier: {accuracy(judge, dataset):.2%} of the test images; "
        f"their variety is {_variety_of_test_images(dataset):.3f}\n"
    )
    for path in bundles or (None,):
        with vae_runtime.load(path, provider="cpu") as vae:
            _print_recognized(vae, judge)
            _print_elbos(vae, dataset.test.images)
            _print_labels(vae, judge, count)


def _print_recognized(vae: vae_runtime.VAE, judge: nn.Module) -> None:
    """How many draws the classifier is sure of, and how varied they are."""
    draws: dict[str, dict[str, Any]] = {"prior": {}}
    if vae.bundle.density:
        for temperature in DATA_TEMPERATURES:
            name = f"data, temperature {temperature:g}"
            draws[name] = {"source": "data", "temperature": temperature}
    click.echo(f"{vae.path.name}: {SAMPLES:,} draws, recognized with p >= {MIN_PROBABILITY}")
    click.echo(header(["from", "recognized", "variety"]))
    for name, arguments in draws.items():
        images = vae.sample(SAMPLES, seed=0, **arguments)
        recognized = probabilities(judge, images).max(1) >= MIN_PROBABILITY
        click.echo(row([name, f"{recognized.mean():.1%}", f"{_variety(images):.3f}"]))
    click.echo()


def _print_elbos(vae: vae_runtime.VAE, images: UInt8) -> None:
    """The ELBO of every precision on all images, and the tighter bound on the first thousand."""
    reference = None
    for precision in vae.bundle.precisions:
        with vae_runtime.load(vae.path, provider="cpu", precision=precision) as other:
            elbo = other.score(images).mean()
        if reference is None:
            reference = elbo
        click.echo(
            f"{precision}: ELBO {elbo:.3f} nats on {len(images):,} test images, "
            f"change {elbo - reference:+.3f}"
        )
    bound = vae.score(images[:BOUND_IMAGES], samples=BOUND_SAMPLES).mean()
    click.echo(
        f"importance-weighted bound, K = {BOUND_SAMPLES:,}, first {BOUND_IMAGES:,} test images: "
        f"{bound:.2f} nats"
    )
    z_mean, _ = vae.encode(images)
    active = (z_mean.var(0) > MIN_ACTIVE_VARIANCE).sum()
    click.echo(f"active units: {active} of {vae.latent_dim}\n")


def _print_labels(vae: vae_runtime.VAE, judge: nn.Module, count: int) -> None:
    names = list(vae.labels)
    click.echo(header(["temperature", "agreement", *names, "variety"]))
    for temperature in TEMPERATURES:
        shares = []
        varieties = []
        for name in names:
            images = vae.sample_label(name, count, seed=0, temperature=temperature)
            seen = probabilities(judge, images).argmax(1)
            shares.append(float((seen == int(name)).mean()))
            varieties.append(_variety(images))
        cells = [f"{share:.0%}" for share in shares]
        agreement = f"{np.mean(shares):.1%}"
        click.echo(row([f"{temperature:g}", agreement, *cells, f"{np.mean(varieties):.3f}"]))
    click.echo()


def _variety_of_test_images(data: Dataset) -> float:
    varieties = []
    for label in range(len(data.label_names)):
        images = data.test.images[data.test.labels == label]
        varieties.append(_variety(images / np.float32(255)))
    return float(np.mean(varieties))


def _variety(images: Float32) -> float:
    """The mean standard deviation of a pixel over images (N, C, H, W)."""
    return float(images.std(0).mean())


if __name__ == "__main__":
    main()
