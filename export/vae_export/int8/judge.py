"""What an int8 graph costs: nats of ELBO on images that it wasn't calibrated on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vae_export import ort
from vae_runtime.arrays import Float32, Float64
from vae_runtime.bundle import Likelihood
from vae_runtime.bundle.records import ELBO_BUDGET
from vae_runtime.latent.likelihood import bound, log_likelihood

# Draws of z per image.
DRAWS = 4
# Of the mean reconstruction loss, what int8 may cost.
RECONSTRUCTION_SHARE = 5e-4


@dataclass(frozen=True)
class PosteriorDraws:
    """Draws of z from q(z | x).

    z and epsilon are (DRAWS, N, D) float64, z_mean and z_log_var (N, D) float64.
    """

    z: Float64
    epsilon: Float64
    z_mean: Float64
    z_log_var: Float64


def draw_posterior(encoder: bytes, images: Float32) -> PosteriorDraws:
    """Draws of z for images (N, C, H, W), with the same noise at every call."""
    z_mean, z_log_var = [value.astype(np.float64) for value in ort.run(encoder, images)]
    epsilon = np.random.default_rng(0).standard_normal((DRAWS, *z_mean.shape))
    z = z_mean + np.exp(0.5 * z_log_var) * epsilon
    return PosteriorDraws(z, epsilon, z_mean, z_log_var)


def mean_elbo(
    posterior: PosteriorDraws, decoder: bytes, images: Float32, likelihood: Likelihood
) -> float:
    """The mean ELBO in nats of images (N, C, H, W), from which the draws are."""
    draws, _, latent_dim = posterior.z.shape
    (decoded,) = ort.run(decoder, posterior.z.reshape(-1, latent_dim).astype(np.float32))
    decoded = decoded.reshape(draws, *images.shape)
    bounds = []
    for i in range(draws):
        log_p = log_likelihood(images[:, None], decoded[i][:, None], likelihood)
        z = posterior.z[i][:, None]
        epsilon = posterior.epsilon[i][:, None]
        bounds.append(bound(log_p, z, posterior.z_mean, posterior.z_log_var, epsilon))
    return float(np.concatenate(bounds).mean())


def elbo_budget(encoder: bytes, decoder: bytes, images: Float32, likelihood: Likelihood) -> float:
    """What int8 may cost on images (N, C, H, W) like these, in nats.

    0.3, or 0.05 % of the mean reconstruction loss where that is more: of large colour images the
    loss is thousands of nats, which nobody knows to 0.3.
    """
    posterior = draw_posterior(encoder, images)
    (decoded,) = ort.run(decoder, posterior.z[0].astype(np.float32))
    log_p = log_likelihood(images[:, None], decoded[:, None], likelihood)
    return max(ELBO_BUDGET, RECONSTRUCTION_SHARE * abs(float(log_p.mean())))


class Judge:
    """How many nats of ELBO a graph loses in place of the fp32 encoder or decoder."""

    def __init__(
        self, encoder: bytes, decoder: bytes, images: Float32, likelihood: Likelihood
    ) -> None:
        """`images` (N, C, H, W) are those that don't calibrate."""
        self.decoder = decoder
        self.images = images
        self.likelihood = likelihood
        self.posterior = draw_posterior(encoder, images)
        self.reference = mean_elbo(self.posterior, decoder, images, likelihood)

    def encoder_cost(self, encoder: bytes) -> float:
        posterior = draw_posterior(encoder, self.images)
        return self.reference - mean_elbo(posterior, self.decoder, self.images, self.likelihood)

    def decoder_cost(self, decoder: bytes) -> float:
        return self.reference - mean_elbo(self.posterior, decoder, self.images, self.likelihood)
