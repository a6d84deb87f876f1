"""What each label's images look like in latent space: the `labels` entry of a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

COMPONENTS = 4
MAX_MIXTURE_DIM = 16  # beyond it covariances are diagonal and there is one component: full ones would fill megabytes


def label_statistics(z_mean: Array, log_var: Array, labels: NDArray[np.int64], names: Sequence[str]) -> dict[str, Any]:
    """Per label: count, mean (D,), covariance (D, D) including the posterior variance, and a small mixture.

    z_mean and log_var are (N, D), the latter the log of the variance that is sampled; labels (N,) are positions
    in `names`.
    """
    statistics = {}
    for label in np.unique(labels):
        mean, variance = z_mean[labels == label], np.exp(log_var[labels == label])
        covariance = _covariance(mean - mean.mean(0), variance, np.ones(len(mean)))
        if mean.shape[1] > MAX_MIXTURE_DIM:
            covariance = np.diag(np.diag(covariance))
        statistics[names[label]] = {
            "count": len(mean),
            "mean": mean.mean(0).tolist(),
            "cov": covariance.tolist(),
            "components": _mixture(mean, variance, covariance),
        }
    return statistics


def _mixture(mean: Array, variance: Array, covariance: Array, iterations: int = 60) -> list[dict[str, Any]]:
    """Expectation maximisation for a Gaussian mixture over points that are Gaussians themselves."""
    n, dim = mean.shape
    k = min(COMPONENTS, n // (10 * dim)) if dim <= MAX_MIXTURE_DIM else 1
    if k <= 1:
        return [{"weight": 1.0, "mean": mean.mean(0).tolist(), "cov": covariance.tolist()}]
    centres = _spread_out(mean, k)
    weights, covariances = np.full(k, 1 / k), np.stack([covariance / k] * k)
    for _ in range(iterations):
        log_p = np.stack([_log_gaussian(mean, c, s) for c, s in zip(centres, covariances, strict=True)], 1)
        log_p += np.log(weights)
        shares = np.exp(log_p - log_p.max(1, keepdims=True))
        shares /= shares.sum(1, keepdims=True)
        weights = np.maximum(shares.mean(0), 1e-6)
        weights /= weights.sum()
        centres = (shares.T @ mean) / np.maximum(shares.sum(0), 1e-9)[:, None]
        covariances = np.stack([_covariance(mean - centres[i], variance, shares[:, i]) for i in range(k)])
    return [
        {"weight": float(w), "mean": c.tolist(), "cov": s.tolist()}
        for w, c, s in zip(weights, centres, covariances, strict=True)
    ]


def _covariance(deviation: Array, variance: Array, weight: Array) -> Array:
    total = max(float(weight.sum()), 1e-9)
    scatter = (deviation * weight[:, None]).T @ deviation / total
    # The floor keeps a single image's covariance invertible.
    spread: Array = scatter + np.diag((variance * weight[:, None]).sum(0) / total + 1e-6)
    return spread


def _log_gaussian(x: Array, mean: Array, covariance: Array) -> Array:
    root = np.linalg.cholesky(covariance)
    y = np.linalg.solve(root, (x - mean).T)
    result: Array = -0.5 * (y**2).sum(0) - np.log(np.diag(root)).sum()
    return result


def _spread_out(points: Array, k: int) -> Array:
    """k points, each the farthest from those chosen before, beginning with the one nearest to the mean."""
    chosen = [int(((points - points.mean(0)) ** 2).sum(1).argmin())]
    distance = ((points - points[chosen[0]]) ** 2).sum(1)
    while len(chosen) < k:
        # The 98th percentile rather than the farthest point, which is an outlier.
        chosen.append(int(np.argsort(distance)[int(0.98 * (len(points) - 1))]))
        distance = np.minimum(distance, ((points - points[chosen[-1]]) ** 2).sum(1))
    return points[chosen].copy()
