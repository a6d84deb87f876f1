"""python -m benchmarks.quality [BUNDLE…]: are generated digits recognised? By an independent classifier."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from torch import nn

import vae_runtime
from benchmarks.classifier import accuracy, probabilities, train_classifier
from vae_train.data import load_dataset

TEMPERATURES = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.5, 1.0)
SURE = 0.9


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("bundles", nargs=-1, type=click.Path(path_type=Path, exists=True))
@click.option("--data", default="mnist", show_default=True, help="Trains and tests the classifier.")
@click.option("-n", "count", default=1000, show_default=True, help="Images per label and temperature.")
def main(bundles: tuple[Path, ...], data: str, count: int) -> None:
    """Judge BUNDLES, by default the embedded model.

    Prints the share of prior samples that the classifier recognises with p >= 0.9; the ELBO by precision, the
    importance-weighted bound and the active units (Burda et al. 2016); and over temperatures how often it sees the
    label that was asked for, and how varied the images are: the mean standard deviation of a pixel over the images of
    a label, beside that of the test images.

    Example: python -m benchmarks.quality runs/digits/model.vae
    """
    dataset = load_dataset(data)
    judge = train_classifier(dataset)
    variety = np.mean([_variety(dataset.test.images[dataset.test.labels == k] / np.float32(255)) for k in range(10)])
    click.echo(f"classifier: {accuracy(judge, dataset):.2%} of the test images; their variety is {variety:.3f}\n")
    for path in bundles or (None,):
        with vae_runtime.load(path, provider="cpu") as vae:
            sure = probabilities(judge, vae.sample(10_000, seed=0)).max(1) >= SURE
            click.echo(f"{vae.path.name}: {sure.mean():.1%} of 10,000 prior samples recognised with p >= {SURE}")
            _elbos(vae, dataset.test.images)
            _labels(vae, judge, count)


def _elbos(vae: vae_runtime.VAE, images: NDArray[np.uint8]) -> None:
    """The ELBO of every precision on all test images, and the tighter bound on the first thousand."""
    reference = None
    for precision in vae.bundle.precisions:
        with vae_runtime.load(vae.path, provider="cpu", precision=precision) as one:
            elbo = one.score(images).mean()
        reference = elbo if reference is None else reference
        click.echo(f"{precision}: ELBO {elbo:.3f} nats on {len(images):,} test images, change {elbo - reference:+.3f}")
    bound = vae.score(images[:1000], samples=1000).mean()
    click.echo(f"importance-weighted bound, K = 1,000, first 1,000 test images: {bound:.2f} nats")
    z_mean, _ = vae.encode(images)
    click.echo(f"active units: {(z_mean.var(0) > 0.01).sum()} of {vae.latent_dim}\n")


def _labels(vae: vae_runtime.VAE, judge: nn.Module, count: int) -> None:
    names = list(vae.labels)
    click.echo("| temperature | agreement | " + " | ".join(names) + " | variety |")
    click.echo("|---|---|" + "---|" * (len(names) + 1))
    for temperature in TEMPERATURES:
        shares, varieties = [], []
        for name in names:
            images = vae.sample_label(name, count, seed=0, temperature=temperature)
            shares.append(float((probabilities(judge, images).argmax(1) == int(name)).mean()))
            varieties.append(_variety(images))
        cells = " | ".join(f"{share:.0%}" for share in shares)
        click.echo(f"| {temperature:g} | {np.mean(shares):.1%} | {cells} | {np.mean(varieties):.3f} |")
    click.echo()


def _variety(images: np.ndarray) -> float:
    return float(images.std(0).mean())


if __name__ == "__main__":
    main()
