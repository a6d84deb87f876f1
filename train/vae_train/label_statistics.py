"""What each label's images look like in latent space: the `labels` entry of a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vae_runtime.arrays import Float64, Int64
from vae_runtime.latent.gaussian import unnormalized_log_gaussian

MAX_COMPONENTS = 4
# Images that a component needs for each latent dimension.
MIN_IMAGES_PER_DIM = 10
# Beyond it covariances are diagonal, and held as vectors: full ones would fill megabytes.
MAX_FULL_DIM = 16
# More diagonal components make up for the correlations that each leaves out.
MAX_DIAGONAL_COMPONENTS = 8
MIN_IMAGES_PER_DIAGONAL = 100
# Of all means and variances of one label's diagonal components.
MAX_DIAGONAL_NUMBERS = 4096
# Digits of theirs that are kept: more say nothing of a few hundred images.
DIAGONAL_DIGITS = 6
EM_ITERATIONS = 60
# Keeps a single image's covariance invertible.
MIN_VARIANCE = 1e-6
MIN_COMPONENT_WEIGHT = 1e-6
MIN_TOTAL = 1e-9
# Where the next center of a mixture is taken from. The farthest point would be an outlier.
FAR_QUANTILE = 0.98


@dataclass(frozen=True)
class _Mixture:
    """weights (K,), means (K, D) and covariances (K, D, D), or diagonals (K, D), of K Gaussians."""

    weights: Float64
    means: Float64
    covariances: Float64

    def components(self) -> list[dict[str, Any]]:
        components = []
        for weight, mean, cov in zip(self.weights, self.means, self.covariances, strict=True):
            components.append(_component(float(weight), mean, cov))
        return components


def label_statistics(
    z_mean: Float64, log_var: Float64, labels: Int64, names: Sequence[str]
) -> dict[str, Any]:
    """Per label: count, mean (D,), covariance (D, D), and a small mixture of Gaussians.

    z_mean and log_var are (N, D), the latter the log of the variance that is sampled; labels (N,)
    are positions in `names`. Covariances include the posterior variance; above 16 dimensions they
    are diagonals (D,).
    """
    statistics = {}
    for label in np.unique(labels):
        chosen = labels == label
        means = z_mean[chosen]
        variances = np.exp(log_var[chosen])
        center = means.mean(0)
        cov = _covariance(means - center, variances, np.ones(len(means)))
        statistics[names[label]] = {
            "count": len(means),
            "mean": _numbers(center, cov),
            "cov": _numbers(cov, cov),
            "components": _components(means, variances, cov),
        }
    return statistics


def _component_count(n: int, dim: int) -> int:
    """How many Gaussians n images of `dim` latents pay for."""
    if dim <= MAX_FULL_DIM:
        return min(MAX_COMPONENTS, n // (MIN_IMAGES_PER_DIM * dim))
    most = min(MAX_DIAGONAL_COMPONENTS, MAX_DIAGONAL_NUMBERS // (2 * dim))
    return min(most, n // MIN_IMAGES_PER_DIAGONAL)


def _components(means: Float64, variances: Float64, cov: Float64) -> list[dict[str, Any]]:
    """The mixture of one label's images, or its one Gaussian where there are too few of them."""
    n, dim = means.shape
    k = _component_count(n, dim)
    if k <= 1:
        return [_component(1.0, means.mean(0), cov)]
    mixture = _Mixture(
        weights=np.full(k, 1 / k),
        means=_spread_out(means, k),
        covariances=np.stack([cov / k] * k),
    )
    for _ in range(EM_ITERATIONS):
        mixture = _refined(mixture, means, variances)
    return mixture.components()


def _refined(mixture: _Mixture, means: Float64, variances: Float64) -> _Mixture:
    """One step of expectation maximization over points that are Gaussians themselves."""
    shares = _responsibilities(mixture, means)
    weights = np.maximum(shares.mean(0), MIN_COMPONENT_WEIGHT)
    totals = np.maximum(shares.sum(0), MIN_TOTAL)
    centers = (shares.T @ means) / totals[:, None]
    covariances = []
    for i, center in enumerate(centers):
        covariances.append(_covariance(means - center, variances, shares[:, i]))
    return _Mixture(weights / weights.sum(), centers, np.stack(covariances))


def _responsibilities(mixture: _Mixture, points: Float64) -> Float64:
    """p(component | point) for points (N, D): (N, K)."""
    columns = []
    for mean, cov in zip(mixture.means, mixture.covariances, strict=True):
        columns.append(unnormalized_log_gaussian(points, mean, cov))
    log_p = np.stack(columns, 1)
    log_p += np.log(mixture.weights)
    shares: Float64 = np.exp(log_p - log_p.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    return shares


def _covariance(deviations: Float64, variances: Float64, weights: Float64) -> Float64:
    """The covariance (D, D) of weighted Gaussians, or its diagonal (D,) of more than 16 latents.

    `deviations` of their means and `variances` are (N, D), `weights` (N,).
    """
    total = max(float(weights.sum()), MIN_TOTAL)
    weighted = weights[:, None]
    posterior = (variances * weighted).sum(0) / total
    if deviations.shape[1] > MAX_FULL_DIM:
        diagonal: Float64 = (deviations**2 * weighted).sum(0) / total + posterior + MIN_VARIANCE
        return diagonal
    scatter = (deviations * weighted).T @ deviations / total
    cov: Float64 = scatter + np.diag(posterior + MIN_VARIANCE)
    return cov


def _spread_out(points: Float64, k: int) -> Float64:
    """k points, each far from those chosen before, beginning with the one nearest to the mean."""
    chosen = [int(_squared_distances(points, points.mean(0)).argmin())]
    nearest = _squared_distances(points, points[chosen[0]])
    far = int(FAR_QUANTILE * (len(points) - 1))
    while len(chosen) < k:
        latest = int(np.argsort(nearest)[far])
        chosen.append(latest)
        nearest = np.minimum(nearest, _squared_distances(points, points[latest]))
    return points[chosen].copy()


def _squared_distances(points: Float64, center: Float64) -> Float64:
    distances: Float64 = ((points - center) ** 2).sum(1)
    return distances


def _component(weight: float, mean: Float64, cov: Float64) -> dict[str, Any]:
    return {"weight": weight, "mean": _numbers(mean, cov), "cov": _numbers(cov, cov)}


def _numbers(values: Float64, cov: Float64) -> list[Any]:
    """As lists; beside a diagonal covariance, of which there are many, with few digits."""
    if cov.ndim == 2:
        return list(values.tolist())
    return [float(f"{value:.{DIAGONAL_DIGITS}g}") for value in values]
