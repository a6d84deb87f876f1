"""What a checkpoint carries for an exporter: figures to quote, label statistics, example images."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from vae_runtime.arrays import ImageShape
from vae_train.config import TrainConfig
from vae_train.data import Dataset
from vae_train.density import Mixture, fit_density
from vae_train.evaluation import encode, evaluate_elbo
from vae_train.label_statistics import label_statistics
from vae_train.model import VAE

# Images of each split in a checkpoint, fewer where they are large.
MAX_EMBEDDED_IMAGES = 512
# Of both splits together.
MAX_EMBEDDED_BYTES = 8 << 20
# For the latent statistics of an epoch that isn't the last.
MAX_INTERIM_IMAGES = 5000


class LatentStatistics(NamedTuple):
    """Where images lie in latent space: those of each label, and all of them."""

    labels: dict[str, Any]
    density: Mixture


def training_summary(config: TrainConfig, model: VAE, data: Dataset, epoch: int) -> dict[str, Any]:
    """What a bundle quotes of a run after `epoch` epochs; after its last one with its ELBO."""
    summary: dict[str, Any] = {"preset": config.preset, "epochs": epoch}
    if epoch >= config.total_epochs:
        evaluation = evaluate_elbo(model, config.sampling, data.test.images)
        summary[f"{heldout_name(config)}_elbo"] = evaluation.mean_elbo
        summary["train_images"] = len(data.train.images)
    return summary


def heldout_name(config: TrainConfig) -> str:
    """What the images in a data set's `test` split are called: training images are no test set."""
    return "validation" if config.validation else "test"


def latent_statistics(
    config: TrainConfig, model: VAE, data: Dataset, epoch: int
) -> LatentStatistics:
    """Of the training images, of the first ones before the last epoch."""
    train = data.train
    if epoch < config.total_epochs:
        train = train.first(MAX_INTERIM_IMAGES)
    z_mean, log_var = encode(model, config.sampling, train.images)
    labels = {}
    if data.label_names:
        labels = label_statistics(z_mean, log_var, train.labels, data.label_names)
    return LatentStatistics(labels, fit_density(z_mean, log_var))


def embedded_images(data: Dataset) -> dict[str, Tensor]:
    """The first images and labels of both splits."""
    count = embedded_count(data.image_shape)
    train = data.train.first(count)
    heldout = data.test.first(count)
    return {
        "train_images": torch.from_numpy(train.images.copy()),
        "train_labels": torch.from_numpy(train.labels.copy()),
        "heldout_images": torch.from_numpy(heldout.images.copy()),
        "heldout_labels": torch.from_numpy(heldout.labels.copy()),
    }


def embedded_count(image_shape: ImageShape) -> int:
    """How many images of each split a checkpoint carries: up to 512, both splits at most 8 MB."""
    channels, height, width = image_shape
    image_bytes = channels * height * width
    return min(MAX_EMBEDDED_IMAGES, MAX_EMBEDDED_BYTES // 2 // image_bytes)
