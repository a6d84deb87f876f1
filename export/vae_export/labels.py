"""Where images lie in latent space, those of each label and all of them, as a bundle's records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from vae_runtime.arrays import Float32, Float64, sorted_labels
from vae_runtime.bundle import Component, Label
from vae_runtime.bundle.records import Covariance
from vae_train.density import fit_density
from vae_train.label_statistics import MAX_FULL_DIM, label_statistics

# Images that are encoded at once.
CHUNK = 256


class LatentPlaces(NamedTuple):
    """The records of each label, empty without labels, and the mixture for all images."""

    labels: dict[str, Label]
    density: tuple[Component, ...]


def measure_latents(
    encoder: nn.Module, images: Float32, labels: Sequence[Any] | None
) -> LatentPlaces:
    """Encode images (N, C, H, W) and describe their latents; `labels` are (N,)."""
    z_mean, z_log_var = _encode(encoder, images)
    density = mixture_records(fit_density(z_mean, z_log_var))
    if labels is None:
        return LatentPlaces({}, density)
    names = sorted_labels(labels)
    positions = np.array([names.index(str(label)) for label in labels])
    statistics = label_statistics(z_mean, z_log_var, positions, names)
    return LatentPlaces(label_records(statistics), density)


def label_records(statistics: Mapping[str, Mapping[str, Any]]) -> dict[str, Label]:
    """The records of what `vae_train.label_statistics` gives, by label."""
    records = {}
    for name, values in statistics.items():
        records[name] = Label(
            count=values["count"],
            mean=tuple(values["mean"]),
            cov=_covariance(values["cov"]),
            components=mixture_records(values["components"]),
        )
    return records


def mixture_records(components: Sequence[Mapping[str, Any]]) -> tuple[Component, ...]:
    """The records of a mixture as a checkpoint has it."""
    return tuple(_component(component) for component in components)


def _component(values: Mapping[str, Any]) -> Component:
    return Component(
        weight=values["weight"], mean=tuple(values["mean"]), cov=_covariance(values["cov"])
    )


def _covariance(values: Sequence[Any]) -> Covariance:
    """A matrix; a diagonal one of many latents, as checkpoints used to have, as its diagonal."""
    if not isinstance(values[0], Sequence):
        return tuple(values)
    if len(values) > MAX_FULL_DIM:
        return tuple(row[i] for i, row in enumerate(values))
    return tuple(tuple(row) for row in values)


@torch.no_grad()
def _encode(encoder: nn.Module, images: Float32) -> tuple[Float64, Float64]:
    """z_mean and z_log_var, each (N, latent_dim)."""
    means = []
    log_vars = []
    for start in range(0, len(images), CHUNK):
        z_mean, z_log_var = encoder(torch.from_numpy(images[start : start + CHUNK]))
        means.append(z_mean)
        log_vars.append(z_log_var)
    return torch.cat(means).double().numpy(), torch.cat(log_vars).double().numpy()
