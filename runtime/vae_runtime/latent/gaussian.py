"""Gaussian densities and mixtures of them, in float64."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from vae_runtime.arrays import Float64, Int64, Mask
from vae_runtime.bundle import Component
from vae_runtime.errors import BundleError


class Gaussians(NamedTuple):
    """N diagonal Gaussians: z_mean and z_log_var, each (N, D) float64."""

    z_mean: Float64
    z_log_var: Float64

    def at(self, epsilon: Float64) -> Float64:
        """The points (N, K, D) that the draws (K, D), or (N, K, D), of N(0, I) become."""
        points: Float64 = self.z_mean[:, None] + np.exp(0.5 * self.z_log_var)[:, None] * epsilon
        return points

    def some(self, rows: slice | Int64) -> Gaussians:
        """Those of some rows."""
        return Gaussians(self.z_mean[rows], self.z_log_var[rows])

    def where(self, chosen: Mask, other: Gaussians) -> Gaussians:
        """These where `chosen` (N,) is true, `other` elsewhere."""
        column = chosen[:, None]
        return Gaussians(
            np.where(column, self.z_mean, other.z_mean),
            np.where(column, self.z_log_var, other.z_log_var),
        )


def unnormalized_log_gaussian(points: Float64, mean: Float64, cov: Float64) -> Float64:
    """log N(points; mean, cov) without the constant -½ D log 2π, for points (N, D) -> (N,).

    `cov` is (D, D), or (D,) where it is diagonal.
    """
    if cov.ndim == 1:
        squares = ((points - mean) ** 2 / cov).sum(1)
        diagonal_log_p: Float64 = -0.5 * (squares + np.log(cov).sum())
        return diagonal_log_p
    root = root_of(cov)
    standardized = np.linalg.solve(root, (points - mean).T)
    log_p: Float64 = -0.5 * (standardized**2).sum(0) - np.log(np.diag(root)).sum()
    return log_p


def root_of(cov: Float64) -> Float64:
    """The lower triangle L (…, D, D) with L L^T = cov. Raises BundleError where there is none."""
    try:
        root: Float64 = np.asarray(np.linalg.cholesky(cov), np.float64)
    except np.linalg.LinAlgError:
        # The manifest's check of pairs cannot see it in more than two dimensions.
        raise BundleError(
            "a covariance of the bundle's labels is not positive definite; export it again"
        ) from None
    return root


def log_gaussian(points: Float64, mean: Float64, cov: Float64) -> Float64:
    """log N(points; mean, cov) points (N, D), mean (D,), cov (D, D) or (D,) -> (N,)."""
    constant = 0.5 * points.shape[1] * np.log(2 * np.pi)
    log_p: Float64 = unnormalized_log_gaussian(points, mean, cov) - constant
    return log_p


def log_mixture(components: Sequence[Component], points: Float64) -> Float64:
    """The log density of a Gaussian mixture at points (N, D) -> (N,)."""
    parts = []
    for component in components:
        log_p = log_gaussian(points, np.array(component.mean), np.array(component.cov))
        parts.append(np.log(component.weight) + log_p)
    log_density: Float64 = np.logaddexp.reduce(parts, axis=0)
    return log_density


def draw_mixture(
    components: Sequence[Component], n: int, rng: np.random.Generator, temperature: float = 1.0
) -> Float64:
    """n draws (n, D) from a Gaussian mixture whose covariances are multiplied by `temperature`."""
    weights = np.array([component.weight for component in components])
    means = np.array([component.mean for component in components])
    covariances = np.array([component.cov for component in components])
    chosen = rng.choice(len(components), n, p=weights / weights.sum())
    noise = np.sqrt(temperature) * rng.standard_normal((n, means.shape[1]))
    if covariances.ndim == 2:
        diagonal_draws: Float64 = means[chosen] + np.sqrt(covariances)[chosen] * noise
        return diagonal_draws
    roots = root_of(covariances)
    draws: Float64 = means[chosen] + np.einsum("nij,nj->ni", roots[chosen], noise)
    return draws
