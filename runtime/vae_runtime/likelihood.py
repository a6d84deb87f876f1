"""log p(x | z) and the bounds on log p(x), in nats per image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vae_runtime.bundle import Likelihood

Values = NDArray[np.float64]
SMALLEST = 1e-7  # a float32 sigmoid reaches 0 and 1; Keras clips here too


def log_likelihood(images: NDArray[np.float32], decoded: NDArray[np.float32], likelihood: Likelihood) -> Values:
    """log p(images | z), summed over pixels: (N, 1, C, H, W) and (N, K, C, H, W) in [0, 1] -> (N, K)."""
    if likelihood.name == "gaussian":
        log_var = np.array(likelihood.log_var).reshape(-1, 1, 1)
        squared = (images - decoded).astype(np.float64) ** 2 * np.exp(-log_var)
        density: Values = -0.5 * (squared + log_var + np.log(2 * np.pi)).sum((2, 3, 4))
        return density
    p = np.clip(decoded, SMALLEST, 1 - SMALLEST)
    terms = images * np.log(p) + (1 - images) * np.log1p(-p)
    total: Values = terms.sum((2, 3, 4), dtype=np.float64)
    return total


def bound(log_p: Values, z: Values, z_mean: Values, z_log_var: Values, epsilon: Values) -> Values:
    """The ELBO for one draw, the importance-weighted bound for K (Burda et al. 2016, equation 8): (N, K) -> (N,).

    z and epsilon (N, K, D); z_mean and z_log_var (N, D). With one draw the KL term is exact.
    """
    if log_p.shape[1] == 1:
        kl = -0.5 * (1 + z_log_var - z_mean**2 - np.exp(z_log_var)).sum(1)
        elbo: Values = log_p[:, 0] - kl
        return elbo
    log_prior = -0.5 * (z**2).sum(2)
    log_posterior = -0.5 * (epsilon**2 + z_log_var[:, None]).sum(2)
    log_weights = log_p + log_prior - log_posterior
    weighted: Values = np.logaddexp.reduce(log_weights, axis=1) - np.log(log_p.shape[1])
    return weighted
