"""log p(x | z) and the bounds on log p(x), in nats per image."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vae_runtime.arrays import Float32, Float64
from vae_runtime.bundle import Likelihood
from vae_runtime.latent.continuous_bernoulli import log_normalizer, natural_of_mean

# A float32 sigmoid reaches 0 and 1, whose logarithms are infinite; Keras clips here too.
MIN_PROBABILITY = 1e-7
# Of gray values of 8 bits.
HALF_STEP = np.float32(0.5 / 255)


class LinearForm(NamedTuple):
    """log p(x | z) at M latents as a function of the image, up to a term of the image alone.

    All likelihoods are exponential families: log p(x | z) = x · natural - log_partition + h(x),
    with `natural` (M, P) float32 over P pixels and `log_partition` (M,) float64.
    """

    natural: Float32
    log_partition: Float64


def log_likelihood(images: Float32, decoded: Float32, likelihood: Likelihood) -> Float64:
    """log p(images | z), summed over pixels, (N, K).

    images (N, 1, C, H, W) and decoded (N, K, C, H, W), both in [0, 1].
    """
    if likelihood.name == "gaussian":
        return _log_gaussian_pixels(images, decoded, likelihood)
    if likelihood.name == "continuous_bernoulli":
        natural = natural_of_mean(decoded)
        log_density: Float64 = (images * natural - log_normalizer(natural)).sum((2, 3, 4))
        return log_density
    p = _clipped(decoded)
    terms = images * np.log(p) + (1 - images) * np.log1p(-p)
    log_p: Float64 = terms.sum((2, 3, 4), dtype=np.float64)
    return log_p


def linear_form(decoded: Float32, likelihood: Likelihood) -> LinearForm:
    """The likelihoods given decoded images (M, C, H, W) in [0, 1], as functions of the image."""
    count = len(decoded)
    if likelihood.name == "gaussian":
        weighted = decoded * _precision(likelihood)
        partition = 0.5 * (weighted * decoded).reshape(count, -1).sum(1, dtype=np.float64)
        return LinearForm(weighted.reshape(count, -1), partition)
    if likelihood.name == "continuous_bernoulli":
        exact = natural_of_mean(decoded).reshape(count, -1)
        return LinearForm(exact.astype(np.float32), log_normalizer(exact).sum(1))
    p = _clipped(decoded).reshape(count, -1)
    log_rest = np.log1p(-p)
    return LinearForm(np.log(p) - log_rest, -log_rest.sum(1, dtype=np.float64))


def highest_log_likelihood(images: Float32, likelihood: Likelihood) -> Float64:
    """What log p(x | z) of images (N, C, H, W) is where the decoder gives the image itself, (N,).

    No decoder reaches more, but for the continuous Bernoulli's density, which has no bound at exact
    black and white: half a step of 8 bits stands for it. Gray pixels cost the Bernoulli likelihood
    their entropy.
    """
    pixels = images[:, None]
    decoded = pixels
    if likelihood.name == "continuous_bernoulli":
        decoded = np.clip(pixels, HALF_STEP, 1 - HALF_STEP)
    return log_likelihood(pixels, decoded, likelihood)[:, 0]


def bound(
    log_p: Float64, z: Float64, z_mean: Float64, z_log_var: Float64, epsilon: Float64
) -> Float64:
    """The ELBO for one draw, the importance-weighted bound for K of them: (N, K) -> (N,).

    z and epsilon (N, K, D); z_mean and z_log_var (N, D). With one draw the KL term is exact. Burda
    et al. 2016, "Importance weighted autoencoders", equation 8.
    """
    draws = log_p.shape[1]
    if draws == 1:
        elbo: Float64 = log_p[:, 0] - kl_divergence(z_mean, z_log_var)
        return elbo
    # The constants of both densities cancel.
    log_prior = -0.5 * (z**2).sum(2)
    log_posterior = -0.5 * (epsilon**2 + z_log_var[:, None]).sum(2)
    log_weights = log_p + log_prior - log_posterior
    weighted: Float64 = np.logaddexp.reduce(log_weights, axis=1) - np.log(draws)
    return weighted


def kl_divergence(z_mean: Float64, z_log_var: Float64) -> Float64:
    """KL(q(z | x) || p(z)) of diagonal Gaussians, (N, D) -> (N,)."""
    kl: Float64 = -0.5 * (1 + z_log_var - z_mean**2 - np.exp(z_log_var)).sum(1)
    return kl


def _clipped(decoded: Float32) -> Float32:
    return np.clip(decoded, MIN_PROBABILITY, 1 - MIN_PROBABILITY)


def _precision(likelihood: Likelihood) -> Float32:
    """1 / variance of each channel, (C, 1, 1)."""
    log_var = np.array(likelihood.log_var, np.float32)
    return np.exp(-log_var).reshape(-1, 1, 1)


def _log_gaussian_pixels(images: Float32, decoded: Float32, likelihood: Likelihood) -> Float64:
    log_var = np.array(likelihood.log_var).reshape(-1, 1, 1)
    squared = (images - decoded).astype(np.float64) ** 2 * np.exp(-log_var)
    log_p: Float64 = -0.5 * (squared + log_var + np.log(2 * np.pi)).sum((2, 3, 4))
    return log_p
