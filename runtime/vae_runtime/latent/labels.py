"""Where a label's images lie in latent space: its mean, its mixture, and draws from it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vae_runtime.arrays import Float64
from vae_runtime.bundle import Label
from vae_runtime.latent.gaussian import draw_mixture, log_mixture

# Draws from a label's mixture among which p(label | z) chooses one.
CANDIDATES = 128
# Numbers of the candidates that are weighed together: half a megabyte.
CANDIDATE_NUMBERS = 1 << 16
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
    latent_dim = len(labels[label].mean)
    together = max(1, CANDIDATE_NUMBERS // (CANDIDATES * latent_dim))
    parts = [np.empty((0, latent_dim))]
    for first in range(0, n, together):
        parts.append(_draw_some(labels, label, min(together, n - first), rng, temperature))
    return np.concatenate(parts)


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


def _draw_some(
    labels: Labels, label: str, n: int, rng: np.random.Generator, temperature: float
) -> Float64:
    """n draws (n, D), whose candidates are weighed together; the generator is used one by one."""
    candidates = []
    levels = np.empty(n)
    for i in range(n):
        candidates.append(draw_mixture(labels[label].components, CANDIDATES, rng))
        levels[i] = rng.random()
    log_p = _log_posterior(labels, label, np.concatenate(candidates)).reshape(n, CANDIDATES)
    weights = np.exp((log_p - log_p.max(1, keepdims=True)) / temperature)
    drawn = []
    for some, weight, level in zip(candidates, weights, levels, strict=True):
        shares = weight.cumsum() / weight.cumsum()[-1]
        drawn.append(some[np.searchsorted(shares, level, "right")])
    return np.array(drawn)


def _log_posterior(labels: Labels, label: str, z: Float64) -> Float64:
    """log p(label | z) at z (N, D) -> (N,); each label's prior is its share of the images."""
    log_joint = {}
    for name, known in labels.items():
        # A label without images is no rival to others, yet has a place of its own.
        if known.count or name == label:
            log_joint[name] = np.log(max(1, known.count)) + log_mixture(known.components, z)
    log_p: Float64 = log_joint[label] - np.logaddexp.reduce(list(log_joint.values()), axis=0)
    return log_p
