"""A Gaussian near the posterior of an image, for any number of latent dimensions.

Adaptive importance sampling (Cappé, Guillin, Marin & Robert 2004, "Population Monte Carlo"): draws
from the Gaussian are weighted by p(x, z) / q(z), and their weighted mean and variance are the next
Gaussian's. With many dimensions few draws carry all the weight, so the step is damped: by
ESS / (ESS + D), with the effective number of draws ESS = 1 / Σ w².
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vae_runtime.arrays import Float64
from vae_runtime.latent.gaussian import Gaussians

ROUNDS = 4
DRAWS = 100
MIN_VARIANCE = 1e-6

LogLikelihood = Callable[[Float64], Float64]
"""Latents (N, K, D), K for each of N images -> log p(x | z), (N, K)."""


def adapted(start: Gaussians, log_likelihood: LogLikelihood, rng: np.random.Generator) -> Gaussians:
    """`start` after four rounds; the draws are the same for every image."""
    q = start
    for _ in range(ROUNDS):
        epsilon = rng.standard_normal((DRAWS, start.z_mean.shape[1]))
        z = q.at(epsilon)
        log_joint = log_likelihood(z) - 0.5 * (z**2).sum(2)
        # The density of q at its own draws, but for what all draws of an image share.
        log_weights = log_joint + 0.5 * (epsilon**2).sum(1)
        q = _moved(q, z, log_weights)
    return q


def _moved(q: Gaussians, z: Float64, log_weights: Float64) -> Gaussians:
    weights = np.exp(log_weights - log_weights.max(1, keepdims=True))
    weights /= weights.sum(1, keepdims=True)
    effective_draws = 1 / (weights**2).sum(1)
    step = (effective_draws / (effective_draws + z.shape[2]))[:, None]
    mean = np.einsum("nk,nkd->nd", weights, z)
    variance = np.einsum("nk,nkd->nd", weights, (z - mean[:, None]) ** 2)
    z_mean = q.z_mean + step * (mean - q.z_mean)
    old_variance = np.exp(q.z_log_var)
    new_variance = old_variance + step * (variance - old_variance)
    return Gaussians(z_mean, np.log(np.maximum(new_variance, MIN_VARIANCE)))
