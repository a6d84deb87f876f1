"""Where a label's images lie in latent space: its mean, its mixture, and draws from it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vae_runtime.arrays import Float64
from vae_runtime.bundle import Label
from vae_runtime.latent.gaussian import draw_mixture, log_mixture

# Draws from a label's mixture among which p(label | z) chooses one.
CANDIDATES = 128
# Legible in nearly every draw, see docs/experiments.md.
LABEL_TEMPERATURE = 0.1

Labels = Mapping[str, Label]


def label_mean(labels: Labels, label: str | None = None) -> Float64:
    """The mean latent (D,) of a label's training images, None for all of them.

    Raises ValueError for an unknown label.
    """
    if label is None:
        means = [known.mean for known in labels.values()]
        counts = [known.count for known in labels.values()]
        return np.average(means, axis=0, weights=counts)
    require_label(labels, label)
    return np.array(labels[label].mean)


def draw_label(
    labels: Labels, label: str, n: int, rng: np.random.Generator, temperature: float
) -> Float64:
    """Latents (n, D) of `label`, drawn from its mixture.

    Draws are chosen by p(label | z) to the power 1 / temperature. Small temperatures keep to the
    places that are this label's alone, large ones to its whole variety. Raises ValueError for an
    unknown label or a temperature that isn't positive.
    """
    require_label(labels, label)
    if not temperature > 0:
        raise ValueError(f"the temperature must be positive, not {temperature:g}")
    drawn = [_draw_one(labels, label, rng, temperature) for _ in range(n)]
    return np.array(drawn).reshape(n, len(labels[label].mean))


def purest_place(labels: Labels, label: str) -> tuple[float, ...]:
    """The center (D,) of `label`'s mixture where p(label | z) is highest.

    There its images look most like it.
    """
    centers = [component.mean for component in labels[label].components]
    if not centers:
        return labels[label].mean
    log_p = _log_posterior(labels, label, np.array(centers))
    return centers[int(log_p.argmax())]


def require_label(labels: Labels, label: str) -> None:
    """Raise ValueError, with the labels that there are, for an unknown one."""
    if label not in labels:
        known = ", ".join(labels) or "none"
        raise ValueError(f"no label {label!r} in this bundle; it has {known}")


def _draw_one(labels: Labels, label: str, rng: np.random.Generator, temperature: float) -> Float64:
    candidates = draw_mixture(labels[label].components, CANDIDATES, rng)
    log_p = _log_posterior(labels, label, candidates)
    weights = np.exp((log_p - log_p.max()) / temperature)
    place: Float64 = candidates[rng.choice(CANDIDATES, p=weights / weights.sum())]
    return place


def _log_posterior(labels: Labels, label: str, z: Float64) -> Float64:
    """log p(label | z) at z (N, D) -> (N,); each label's prior is its share of the images."""
    log_joint = {}
    for name, known in labels.items():
        # A label without images is no rival to others, yet has a place of its own.
        if known.count or name == label:
            log_joint[name] = np.log(max(1, known.count)) + log_mixture(known.components, z)
    log_p: Float64 = log_joint[label] - np.logaddexp.reduce(list(log_joint.values()), axis=0)
    return log_p
