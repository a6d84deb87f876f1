"""A VAE whose posterior is known: images depend linearly on z, with Gaussian noise."""

import numpy as np

from vae_runtime.arrays import Float32, Float64
from vae_runtime.bundle import Likelihood

SIDE = 4
PIXELS = SIDE * SIDE
NOISE = 0.05


class LinearModel:
    """x = 1/2 + W z + noise, with as many latent dimensions as asked for."""

    likelihood = Likelihood("gaussian", (float(np.log(NOISE**2)),))

    def __init__(self, latent_dim: int, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.latent_dim = latent_dim
        self.weights = 0.05 * self.rng.standard_normal((PIXELS, latent_dim))

    def decode(self, z: Float64) -> Float32:
        flat = 0.5 + z @ self.weights.T
        return flat.reshape(-1, 1, SIDE, SIDE).astype(np.float32)

    def images(self, n: int) -> Float32:
        decoded = self.decode(self.rng.standard_normal((n, self.latent_dim)))
        noise = NOISE * self.rng.standard_normal(decoded.shape)
        return (decoded + noise).astype(np.float32)

    def log_p(self, images: Float32) -> Float64:
        """log p(x), (N,): x is Gaussian with the covariance W Wᵀ + σ²."""
        centered = images.reshape(len(images), -1) - 0.5
        cov = self.weights @ self.weights.T + NOISE**2 * np.eye(PIXELS)
        squares = (centered @ np.linalg.inv(cov) * centered).sum(1)
        log_det = np.linalg.slogdet(2 * np.pi * cov)[1]
        log_p: Float64 = -0.5 * (squares + log_det)
        return log_p

    def best_gaussians(self, images: Float32) -> tuple[Float64, Float64]:
        """Mean and log variance, each (N, D), of the diagonal Gaussians with the highest ELBO."""
        precision = self.weights.T @ self.weights / NOISE**2 + np.eye(self.latent_dim)
        centered = images.reshape(len(images), -1).astype(np.float64) - 0.5
        mean = np.linalg.solve(precision, self.weights.T @ centered.T / NOISE**2).T
        return mean.astype(np.float64), np.tile(-np.log(np.diag(precision)), (len(images), 1))
