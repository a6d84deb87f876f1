"""What `vae-train` says before it trains: what it found and what it is going to do."""

from __future__ import annotations

import numpy as np
import torch

from vae_runtime.engine.cpu import cpu_name
from vae_train.config import TrainConfig
from vae_train.data import Dataset
from vae_train.loop import Trainer
from vae_train.network_size import NetworkSize, network_size
from vae_train.summary import heldout_name

MAX_NAMED_LABELS = 12
NAME_WIDTH = 10
MILLION = 1e6

GAUSSIAN_HINT = (
    "Hint: these images are in color, and the likelihood is that of ink on a ground; "
    "--likelihood gaussian suits photographs"
)


def start_report(trainer: Trainer) -> list[str]:
    """One line each about images, labels, networks, training and device."""
    facts = {
        "images": describe_images(trainer.data, trainer.config),
        "labels": describe_labels(trainer.data),
        "networks": describe_networks(trainer),
        "training": describe_training(trainer),
        "device": describe_device(trainer),
    }
    if trainer.position.epoch or trainer.position.step:
        facts["resumed"] = describe_position(trainer)
    return [name.ljust(NAME_WIDTH) + text for name, text in facts.items()]


def describe_images(data: Dataset, config: TrainConfig) -> str:
    """Where they are from, how many there are of each split, their size."""
    source = "" if data.source is None else f"{data.source.data}: "
    channels, height, width = data.image_shape
    color = "gray" if channels == 1 else "color"
    train = len(data.train.images)
    test = len(data.test.images)
    origin = f" ({data.test_origin})" if data.test_origin else ""
    return (
        f"{source}{train:,} training images and {test:,} {heldout_name(config)} images{origin}, "
        f"{width}×{height}, {color}"
    )


def describe_labels(data: Dataset) -> str:
    """Their names with the numbers of training images, the first ones of many."""
    if not data.label_names:
        return "none"
    counts = np.bincount(data.train.labels, minlength=len(data.label_names))
    shown = []
    for name, count in zip(data.label_names, counts.tolist(), strict=True):
        shown.append(f"{name or 'none'} ({count:,})")
    rest = len(shown) - MAX_NAMED_LABELS
    if rest > 0:
        shown[MAX_NAMED_LABELS:] = [f"and {rest} more"]
    return f"{len(counts)}: {', '.join(shown)}"


def describe_networks(trainer: Trainer) -> str:
    """Parameters and multiply-accumulates of encoder and decoder."""
    config = trainer.config
    model = trainer.model
    image = torch.zeros(1, *config.image_shape, device=trainer.device)
    z = torch.zeros(1, config.latent_dim, device=trainer.device)
    encoder = describe_size(network_size(model.encoder, image))
    decoder = describe_size(network_size(model.decoder, z))
    return (
        f"{config.networks} with {config.latent_dim} latent dimensions; "
        f"encoder {encoder}, decoder {decoder}"
    )


def describe_size(size: NetworkSize) -> str:
    millions = size.multiply_accumulates / MILLION
    return f"{size.parameters:,} parameters, {millions:.3g} M multiply-accumulates"


def describe_training(trainer: Trainer) -> str:
    """The preset, and the settings that are most often changed."""
    config = trainer.config
    epochs = counted(config.total_epochs, "epoch")
    if config.has_exact_phases:
        parts = [f"{phase.epochs} {phase.name}" for phase in trainer.phases]
        epochs += f" ({', '.join(parts)})"
    steps = counted(trainer.steps_per_epoch, "step")
    batch = counted(config.batch_size, "image")
    return (
        f"preset {config.preset}: {epochs} of {steps} of {batch}, "
        f"{config.optimizer} at {config.learning_rate:g}, "
        f"{config.likelihood} likelihood, beta {config.kl_weight:.3g}"
    )


def describe_device(trainer: Trainer) -> str:
    if trainer.device.type == "cuda":
        where = f"{trainer.device}, {torch.cuda.get_device_name(trainer.device)}"
    else:
        where = f"{trainer.device}, {cpu_name()}"
    device = f"{where}, {counted(torch.get_num_threads(), 'thread')}"
    processes = trainer.processes.size
    return device if processes == 1 else f"{device} in each of {processes} processes"


def describe_position(trainer: Trainer) -> str:
    position = trainer.position
    return f"after {counted(position.epoch, 'epoch')} and {counted(position.step, 'step')}"


def counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def suits_gaussian(config: TrainConfig) -> bool:
    """Whether color images are about to be trained on with the likelihood of ink."""
    return config.image_shape[0] == 3 and config.likelihood == "bernoulli"
