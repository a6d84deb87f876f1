"""python -m benchmarks.photographs: photographed digits that an independent classifier knows.

Photographs of MNIST's test digits are rendered (tests/photographs.py) and brought to MNIST's form
by preprocessing alone; the classifier is trained on MNIST's training images.
"""

from __future__ import annotations

from collections import Counter

import click
import numpy as np
from tests.photographs import photograph

from benchmarks.classifier import probabilities, train_classifier
from vae_runtime.arrays import Float32
from vae_runtime.bundle import Fit, Preprocess
from vae_runtime.formats.images import read_image_bytes
from vae_train.data import Dataset, load_dataset

# What was there before the fit "mnist" found ink on paper.
FITS: tuple[Fit, ...] = ("mnist", "contain")


@click.command()
@click.option("-n", "count", default=300, show_default=True, help="Photographs.")
@click.option("--seed", default=0, show_default=True)
@click.option("--data", default="mnist", show_default=True, help="As vae-train takes it.")
def main(count: int, seed: int, data: str) -> None:
    """Print the share of photographs that are recognized, by fit and by paper.

    Example: python -m benchmarks.photographs -n 300
    """
    dataset = load_dataset(data)
    classifier = train_classifier(dataset)
    rng = np.random.default_rng(seed)
    numbers = rng.choice(len(dataset.test.images), count, replace=False)
    labels = dataset.test.labels[numbers]
    originals = dataset.test.images[numbers].astype(np.float32) / np.float32(255)
    is_right = probabilities(classifier, originals).argmax(1) == labels
    click.echo(f"originals            {is_right.mean():.1%}")
    photographs = [photograph(digit[0], rng) for digit in dataset.test.images[numbers]]
    for fit in FITS:
        images = _prepared([item.jpeg for item in photographs], fit, dataset)
        is_right = probabilities(classifier, images).argmax(1) == labels
        click.echo(f"photographs, {fit:<7} {is_right.mean():.1%}")
        if fit == FITS[0]:
            styles = np.array([item.style for item in photographs])
            right = Counter(styles[is_right].tolist())
            for style, total in sorted(Counter(styles.tolist()).items()):
                click.echo(f"  {style:<10} {right[style]} of {total}")


def _prepared(files: list[bytes], fit: Fit, dataset: Dataset) -> Float32:
    shape = dataset.image_shape
    return np.stack([read_image_bytes(file, shape, Preprocess(fit)) for file in files])


if __name__ == "__main__":
    main()
