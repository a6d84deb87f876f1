"""Where a data set's images lie in latent space: the `density` entry of a bundle.

The aggregated posterior q(z) = 1/N Σ q(z | x_n) isn't the prior: it has gaps between kinds of
images, and draws of the prior from there look like nothing. A mixture of Gaussians is fitted to it
by expectation maximization over points that are Gaussians themselves, labels or not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from vae_runtime.arrays import Float64

MAX_COMPONENTS = 128
# Images that a component needs.
MIN_IMAGES_PER_COMPONENT = 40
# Of all means and variances of the components.
MAX_NUMBERS = 8192
# With more dimensions covariances are diagonal.
MAX_FULL_DIM = 2
# More images make no other mixture.
MAX_IMAGES = 20_000
EM_ITERATIONS = 30
MIN_VARIANCE = 1e-6
MIN_WEIGHT = 1e-6
MIN_TOTAL = 1e-9
SIGNIFICANT_DIGITS = 6
SEED = 0

Mixture = list[dict[str, Any]]
"""Components with the keys weight, mean (D,) and cov, (D, D) or (D,)."""


@dataclass(frozen=True)
class _Gaussians:
    """weights (K,), means (K, D) and covariances (K, D, D), or diagonals (K, D), of K Gaussians."""

    weights: Float64
    means: Float64
    covariances: Float64


def fit_density(z_mean: Float64, log_var: Float64) -> Mixture:
    """The mixture for latents of N images, z_mean and log_var (N, D) each.

    Fewer images than a component needs have one Gaussian.
    """
    means = z_mean[:MAX_IMAGES]
    variances = np.exp(log_var[:MAX_IMAGES])
    mixture = _first_guess(means, variances)
    if len(mixture.weights) > 1:
        for _ in range(EM_ITERATIONS):
            mixture = _maximized(means, variances, _shares(means, variances, mixture))
    return _plain(mixture)


def _first_guess(means: Float64, variances: Float64) -> _Gaussians:
    """Equal Gaussians around images drawn at random."""
    n, dim = means.shape
    most = min(MAX_COMPONENTS, MAX_NUMBERS // (2 * dim), n // MIN_IMAGES_PER_COMPONENT)
    count = max(1, most)
    whole = _maximized(means, variances, np.ones((n, 1)))
    if count == 1:
        return whole
    chosen = np.random.default_rng(SEED).choice(n, count, replace=False)
    narrower = whole.covariances[0] / count ** (2 / dim)
    weights = np.full(count, 1 / count)
    return _Gaussians(weights, means[chosen], np.stack([narrower] * count))


def _shares(means: Float64, variances: Float64, mixture: _Gaussians) -> Float64:
    """How much of each image belongs to each component, (N, K), with a sum of 1 over K.

    The mean of log N(z; m, C) over an image's Gaussian: the second moments of z times the
    precision, and terms that are linear in the mean.
    """
    count, dim = mixture.means.shape
    if dim > MAX_FULL_DIM:
        precisions: Float64 = 1 / mixture.covariances
        log_det = np.log(precisions).sum(1)
        turned = precisions * mixture.means
    else:
        precisions = np.asarray(np.linalg.inv(mixture.covariances), np.float64)
        log_det = np.linalg.slogdet(precisions)[1]
        turned = np.einsum("kij,kj->ki", precisions, mixture.means)
    log_p = -0.5 * _second_moments(means, variances) @ precisions.reshape(count, -1).T
    log_p += means @ turned.T
    log_p += 0.5 * (log_det - (turned * mixture.means).sum(1)) + np.log(mixture.weights)
    shares: Float64 = np.exp(log_p - log_p.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    return shares


def _maximized(means: Float64, variances: Float64, shares: Float64) -> _Gaussians:
    """The components that fit images best of which they have these shares (N, K)."""
    n, dim = means.shape
    totals = np.maximum(shares.sum(0), MIN_TOTAL)
    weights = np.maximum(totals / n, MIN_WEIGHT)
    centers = (shares.T @ means) / totals[:, None]
    moments = (shares.T @ _second_moments(means, variances)) / totals[:, None]
    if dim > MAX_FULL_DIM:
        covariances = np.maximum(moments - centers**2, 0) + MIN_VARIANCE
    else:
        squares = centers[:, :, None] * centers[:, None, :]
        covariances = moments.reshape(-1, dim, dim) - squares + MIN_VARIANCE * np.eye(dim)
    return _Gaussians(weights / weights.sum(), centers, covariances)


def _second_moments(means: Float64, variances: Float64) -> Float64:
    """E z zᵀ of each image's Gaussian, (N, D·D); with many dimensions its diagonal, (N, D)."""
    n, dim = means.shape
    if dim > MAX_FULL_DIM:
        return means**2 + variances
    moments = means[:, :, None] * means[:, None, :]
    moments[:, range(dim), range(dim)] += variances
    return moments.reshape(n, dim * dim)


def _plain(mixture: _Gaussians) -> Mixture:
    components = []
    for weight, mean, cov in zip(mixture.weights, mixture.means, mixture.covariances, strict=True):
        components.append({"weight": float(weight), "mean": _rounded(mean), "cov": _rounded(cov)})
    return components


def _rounded(values: Float64) -> Any:
    """Nested lists of the values with 6 significant digits."""
    if values.ndim == 2:
        return [_rounded(row) for row in values]
    return [float(f"{value:.{SIGNIFICANT_DIGITS}g}") for value in values]
