"""Places in a latent space: the book's grid, paths between latents, and where a label's images lie."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from vae_runtime.bundle import Component, Label

Latents = NDArray[np.float64]
CANDIDATES = 128  # per draw from a label: enough for p(label | z) to choose among


def axis(n: int, low: float = 0.05, high: float = 0.95) -> Latents:
    """The inverse normal CDF of n points linearly spaced over [low, high], (n,); raises ValueError beyond (0, 1)."""
    if not 0 < low <= high < 1:
        raise ValueError(f"quantiles must rise and lie between 0 and 1, not {low:g} … {high:g}")
    try:  # the function inside statistics.NormalDist, without the 10 ms that its module takes to import
        from _statistics import _normal_dist_inv_cdf as inverse  # type: ignore[import-not-found]
    except ImportError:
        from statistics import NormalDist

        return np.array([NormalDist().inv_cdf(p) for p in _spaced(low, high, n)])
    return np.array([inverse(p, 0.0, 1.0) for p in _spaced(low, high, n)])


def axis_points(
    n: int, quantiles: tuple[float, float] | None = None, limits: tuple[float, float] | None = None
) -> Latents:
    """n points (n,) along an axis: quantiles of N(0, 1), the book's 0.05 … 0.95 by default, or `limits` in its units.

    A single point is the middle. Raises ValueError for quantiles beyond (0, 1), limits that don't rise, or both.
    """
    if limits is None:
        return axis(n, *(quantiles or (0.05, 0.95)))
    if quantiles is not None:
        raise ValueError("quantiles and limits exclude each other")
    if len(limits) != 2 or not -math.inf < limits[0] < limits[1] < math.inf:
        raise ValueError(f"limits must be two finite numbers that rise, not {', '.join(map(str, limits))}")
    return _spaced(*limits, n)


def _spaced(low: float, high: float, n: int) -> Latents:
    return np.linspace(low, high, n) if n != 1 else np.array([(low + high) / 2])


def grid(x: Latents, y: Latents, axes: tuple[int, int], anchor: Latents) -> Latents:
    """(rows·columns, D): row i has z[axes[1]] = y[i], column j has z[axes[0]] = x[j], the rest is `anchor` (D,).

    With one latent dimension only x counts. Raises ValueError for axes that don't exist or are the same.
    """
    dim = len(anchor)
    used = axes if dim > 1 else axes[:1]
    if len(set(used)) != len(used) or not all(0 <= a < dim for a in used):
        raise ValueError(f"axes {axes[0]},{axes[1]} are not two of the latent dimensions 0 … {dim - 1}")
    z = np.tile(anchor, (len(x) * len(y), 1))
    z[:, axes[0]] = np.tile(x, len(y))
    if dim > 1:
        z[:, axes[1]] = np.repeat(y, len(x))
    return z


def path(z_a: Latents, z_b: Latents, steps: int, mode: str = "linear") -> Latents:
    """(steps, D) from z_a to z_b (each (D,)), both included; "spherical" is slerp (Shoemake 1985).

    Raises ValueError for another mode or fewer than two steps.
    """
    if steps < 2:
        raise ValueError(f"a path needs at least 2 steps, not {steps}")
    t = np.linspace(0, 1, steps)[:, None]
    if mode == "linear":
        return _line(z_a, z_b, t)
    if mode != "spherical":
        raise ValueError(f"mode {mode!r} is neither 'linear' nor 'spherical'")
    lengths = np.linalg.norm(z_a), np.linalg.norm(z_b)
    cosine = float(np.clip(z_a @ z_b / max(float(lengths[0] * lengths[1]), 1e-12), -1, 1))
    angle = np.arccos(cosine)
    if np.sin(angle) < 1e-6:  # parallel or opposite: no single great circle
        return _line(z_a, z_b, t)
    arc: Latents = (np.sin((1 - t) * angle) * z_a + np.sin(t * angle) * z_b) / np.sin(angle)
    return arc


def _line(z_a: Latents, z_b: Latents, t: Latents) -> Latents:
    points: Latents = (1 - t) * z_a + t * z_b
    return points


def draw_label(
    labels: Mapping[str, Label], label: str, n: int, random: np.random.Generator, temperature: float
) -> Latents:
    """(n, D) latents of `label`: drawn from its mixture, chosen by p(label | z) to the power 1 / temperature.

    Small temperatures keep to the places that are this label's alone, large ones to its whole variety. Raises
    ValueError for an unknown label or a temperature that isn't positive.
    """
    if label not in labels:
        raise ValueError(f"no label {label!r} in this bundle; it has {', '.join(labels) or 'none'}")
    if not temperature > 0:
        raise ValueError(f"the temperature must be positive, not {temperature:g}")
    drawn = [_draw_one(labels, label, random, temperature) for _ in range(n)]
    return np.array(drawn).reshape(n, len(labels[label].mean))


def purest(labels: Mapping[str, Label], label: str) -> tuple[float, ...]:
    """The centre (D,) of `label`'s mixture where p(label | z) is highest: where its images look most like it."""
    centres = [component.mean for component in labels[label].components]
    if not centres:
        return labels[label].mean
    log_p = _log_posterior(labels, label, np.array(centres))
    return centres[int(log_p.argmax())]


def _log_posterior(labels: Mapping[str, Label], label: str, z: Latents) -> Latents:
    """log p(label | z) at z (N, D) -> (N,); each label's prior is its share of the images."""
    log_joint = {k: np.log(v.count) + log_density(v.components, z) for k, v in labels.items() if v.count}
    log_p: Latents = log_joint[label] - np.logaddexp.reduce(list(log_joint.values()), axis=0)
    return log_p


def _draw_one(labels: Mapping[str, Label], label: str, random: np.random.Generator, temperature: float) -> Latents:
    candidates = _draw_mixture(labels[label].components, CANDIDATES, random)
    log_p = _log_posterior(labels, label, candidates)
    weights = np.exp((log_p - log_p.max()) / temperature)
    chosen: Latents = candidates[random.choice(CANDIDATES, p=weights / weights.sum())]
    return chosen


def _draw_mixture(components: tuple[Component, ...], n: int, random: np.random.Generator) -> Latents:
    weights = np.array([c.weight for c in components])
    chosen = random.choice(len(components), n, p=weights / weights.sum())
    noise = random.standard_normal((n, len(components[0].mean)))
    roots = np.stack([np.linalg.cholesky(np.array(c.cov)) for c in components])
    means = np.array([c.mean for c in components])
    result: Latents = means[chosen] + np.einsum("nij,nj->ni", roots[chosen], noise)
    return result


def log_density(components: tuple[Component, ...], z: Latents) -> Latents:
    """log of a Gaussian mixture's density at z (N, D) -> (N,)."""
    parts = []
    for component in components:
        root = np.linalg.cholesky(np.array(component.cov))
        y = np.linalg.solve(root, (z - np.array(component.mean)).T)
        constant = np.log(np.diag(root)).sum() + 0.5 * z.shape[1] * np.log(2 * np.pi)
        parts.append(np.log(component.weight) - 0.5 * (y**2).sum(0) - constant)
    result: Latents = np.logaddexp.reduce(parts, axis=0)
    return result
