"""python -m benchmarks.posterior [BUNDLE]: bounds, log p(x), refined inference, anomalies."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np

import vae_runtime
from benchmarks.tables import header, row
from benchmarks.turns import seconds, workers
from vae_runtime.arrays import Float32, Float64
from vae_runtime.console import CONTEXT_SETTINGS
from vae_runtime.formats.images import read_images
from vae_runtime.formats.png import save_png
from vae_runtime.formats.sheets import sheet
from vae_runtime.latent.gaussian import Gaussians
from vae_runtime.latent.posterior import INFERENCES, Inference
from vae_runtime.latent.scores import draws_of
from vae_train.data import load_dataset

# Draws of z by which an ELBO is judged, the same for both kinds of inference.
DRAWS = 64
BATCHES = (1, 32)
BITS_PER_BYTE = 8

Score = Callable[[Float32], Float64]


@click.command(context_settings=CONTEXT_SETTINGS)
@click.argument("bundle", required=False, type=click.Path(path_type=Path, exists=True))
@click.option("--data", default="mnist", show_default=True, help="Its test images are judged.")
@click.option("-n", "count", default=1000, show_default=True, help="Images.")
@click.option(
    "--other", type=click.Path(path_type=Path, exists=True), help="Images of another kind."
)
@click.option(
    "--background",
    type=click.Path(path_type=Path, exists=True),
    help="With --other: a bundle trained on perturbed images, for likelihood ratios.",
)
@click.option("--seconds", "budget", default=2.0, show_default=True, help="For each timing.")
def main(
    bundle: Path | None,
    data: str,
    count: int,
    other: Path | None,
    background: Path | None,
    budget: float,
) -> None:
    """Compare what the encoder says with what the decoder allows.

    Prints the ELBO of the encoder's and of the refined Gaussians over the same images and draws,
    how many images refinement made worse, and log p(x); what refined inference costs beside
    encoding; and with --other how well scores tell its images from those of --data.

    Example: python -m benchmarks.posterior -n 300
    """
    images = load_dataset(data).test.images[:count].astype(np.float32) / np.float32(255)
    with vae_runtime.load(bundle, provider="cpu", threads=1) as vae:
        _print_bounds(vae, images)
        if other is not None:
            _print_anomalies(vae, images, other, background)
    _print_costs(bundle, images, budget)


def _print_bounds(vae: vae_runtime.VAE, images: Float32) -> None:
    click.echo(header([f"{len(images):,} images, nats per image", "mean"]))
    elbos = {}
    for inference in INFERENCES:
        elbos[inference] = _mean_elbo(vae, images, inference)
        click.echo(row([f"ELBO, {inference}", f"{elbos[inference].mean():.2f}"]))
    if vae.latent_dim <= 2:
        click.echo(row(["exact log p(x)", f"{vae.score(images, bound='exact').mean():.2f}"]))
    gains = elbos["refined"] - elbos["encoder"]
    click.echo(row(["images that lose more than 0.1 nats", f"{np.mean(gains < -0.1):.2%}"]))
    click.echo(row(["most that one loses", f"{max(0.0, -gains.min()):.2f}"]) + "\n")


def _mean_elbo(vae: vae_runtime.VAE, images: Float32, inference: Inference) -> Float64:
    """The ELBO of each image, the mean of 64 draws of z."""
    z_mean, z_log_var = vae.encode(images, inference=inference)
    q = Gaussians(z_mean.astype(np.float64), z_log_var.astype(np.float64))
    total = np.zeros(len(images))
    for seed in range(DRAWS):
        for start in range(0, len(images), 1000):
            part = slice(start, start + 1000)
            draws = draws_of(images[part], 1, vae.latent_dim, seed)
            total[part] += vae._posterior.bound(images[part], q.some(part), draws)
    return total / DRAWS


def _print_anomalies(
    vae: vae_runtime.VAE, images: Float32, path: Path, background: Path | None
) -> None:
    items = read_images([path], vae.image_shape, vae.bundle.preprocess)
    others = np.stack([item.image for item, _ in zip(items, images, strict=False)])
    click.echo(header(["score", f"AUROC, {len(images):,} known, {len(others):,} others"]))
    for name, score in _scores(vae, background).items():
        click.echo(row([name, f"{auroc(score(images), score(others)):.3f}"]))
    click.echo()


def _scores(vae: vae_runtime.VAE, background: Path | None) -> dict[str, Score]:
    """Ways to score images, ours and those of the literature."""
    scores: dict[str, Score] = {
        "ELBO": vae.score,
        "ELBO, relative": partial(vae.score, relative=True),
        "importance-weighted, K = 16, relative": partial(vae.score, relative=True, samples=16),
    }
    if vae.latent_dim <= 2:
        scores["exact, relative"] = partial(vae.score, relative=True, bound="exact")
    # Serrà et al. 2020, "Input complexity and out-of-distribution detection".
    scores["ELBO + PNG length"] = lambda images: vae.score(images) + png_nats(images)
    if background is not None:
        # Ren et al. 2019, "Likelihood ratios for out-of-distribution detection".
        reference = vae_runtime.load(background, provider="cpu", threads=1)
        scores["ELBO - ELBO of the background"] = lambda images: (
            vae.score(images) - reference.score(images)
        )
    return scores


def png_nats(images: Float32) -> Float64:
    """The lengths of images (N, C, H, W) as PNG files, in nats, (N,)."""
    lengths = []
    for image in images:
        file = io.BytesIO()
        save_png(sheet(image), file)
        lengths.append(file.tell() * BITS_PER_BYTE * np.log(2))
    return np.array(lengths)


def auroc(known: Float64, others: Float64) -> float:
    """The probability that a known image scores higher than another one, each drawn at random."""
    order = np.concatenate([known, others]).argsort()
    ranks = np.empty(len(order))
    ranks[order] = np.arange(1, len(order) + 1)
    pairs = len(known) * len(others)
    return float((ranks[: len(known)].sum() - len(known) * (len(known) + 1) / 2) / pairs)


def _print_costs(bundle: Path | None, images: Float32, budget: float) -> None:
    click.echo(header(["one thread, time of encode", *map(str, BATCHES)]))
    arguments: dict[str, tuple[Path | None, Inference]] = {}
    for inference in INFERENCES:
        arguments[inference] = (bundle, inference)
    ratios = []
    for batch in BATCHES:
        with workers(_encoder, arguments) as running:
            times = seconds(running, images[:batch], budget)
        ratio = np.median(np.array(times["refined"]) / np.array(times["encoder"]))
        ratios.append(f"{ratio:.1f}×")
    click.echo(row(["refined, of each image in batches of", *ratios]))


def _encoder(bundle: Path | None, inference: Inference) -> Callable[[Float32], Any]:
    vae = vae_runtime.load(bundle, provider="cpu", threads=1)
    return lambda images: vae.encode(images, inference=inference)


if __name__ == "__main__":
    main()
