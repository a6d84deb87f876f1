"""What decoding tells of images beyond the encoder's answer: log p(x), and a better posterior.

The encoder's q(z | x) is a guess, and the ELBO is judged with it. With one or two latent dimensions
a table of the decoder replaces the guess: it gives log p(x) by quadrature, and proposes a Gaussian
at the posterior's mode. With more, adaptive importance sampling proposes one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from vae_runtime.arrays import Float32, Float64
from vae_runtime.bundle import Likelihood
from vae_runtime.latent.gaussian import Gaussians
from vae_runtime.latent.likelihood import bound, kl_divergence, log_likelihood
from vae_runtime.latent.prior_cells import MAX_GRID_DIM

if TYPE_CHECKING:
    from vae_runtime.latent.decoder_table import Decode
    from vae_runtime.latent.grid_proposal import GridProposal

Inference = Literal["encoder", "refined"]
INFERENCES: tuple[Inference, ...] = get_args(Inference)

# Images that are decoded at once.
DECODED_AT_ONCE = 1024
# Images whose posterior is looked for at once.
IMAGES_AT_ONCE = 256
# A proposal of the grid replaces the encoder's Gaussian when it gains more nats, judged by one
# antithetic pair of draws; where it gains less than the second number, by another pair as well. Of
# 10,000 test images nine then lose more than 0.1 nats.
MIN_GRID_GAIN = 1.0
CLEAR_GRID_GAIN = 2.0
# Antithetic pairs of draws that judge the proposal of adaptive importance sampling, and how many
# standard errors its gain must be.
JUDGING_PAIRS = 32
MIN_STANDARD_ERRORS = 2.0
SEED = 0


class PosteriorSearch:
    """Bounds on log p(x), log p(x), and better Gaussians, for one decoder and one likelihood.

    The decoder's table is built at its first use and freed by `close`. Two threads may both build
    it; they build the same.
    """

    def __init__(self, decode: Decode, latent_dim: int, likelihood: Likelihood) -> None:
        self.decode = decode
        self.latent_dim = latent_dim
        self.likelihood = likelihood
        self._grid: GridProposal | None = None

    def close(self) -> None:
        self._grid = None

    def bound(self, images: Float32, q: Gaussians, epsilon: Float64) -> Float64:
        """The ELBO, or with more than one draw the importance-weighted bound, of images (N, …)
        under their encoder's Gaussians, (N,); `epsilon` (N, samples, D) are the standard normal
        draws.
        """
        z = q.at(epsilon)
        return bound(self._log_likelihood(images, z), z, *q, epsilon)

    def exact(self, images: Float32) -> Float64:
        """log p(x) of images (N, C, H, W) by quadrature, (N,).

        Raises ValueError for more than two latent dimensions, and for the continuous Bernoulli,
        whose posteriors are narrower than any cell where images are black.
        """
        if self.likelihood.name == "continuous_bernoulli":
            raise ValueError(
                "exact log p(x) is for the bernoulli and the gaussian likelihood, this model has "
                'continuous_bernoulli; bound="importance" comes near with many samples '
                "(--bound importance --samples 1000)"
            )
        if self.latent_dim > MAX_GRID_DIM:
            raise ValueError(
                f"exact log p(x) needs one or two latent dimensions, this model has "
                f'{self.latent_dim}; bound="importance" comes near with many samples'
            )
        from vae_runtime.latent.quadrature import exact_log_likelihood

        table = self._table_search().table
        return exact_log_likelihood(images, table, self.decode, self.likelihood)

    def refined(self, images: Float32, q: Gaussians) -> Gaussians:
        """For each image the better of q and a proposal, compared on the same draws.

        Nothing is drawn at random: the same images give the same Gaussians, alone or together.
        """
        refine = self._refined_on_grid if self.latent_dim <= MAX_GRID_DIM else self._refined
        parts = []
        for start in range(0, len(images), IMAGES_AT_ONCE):
            part = slice(start, start + IMAGES_AT_ONCE)
            parts.append(refine(images[part], q.some(part)))
        if not parts:
            return q
        return Gaussians(*map(np.concatenate, zip(*parts, strict=True)))

    def _refined_on_grid(self, images: Float32, q: Gaussians) -> Gaussians:
        proposal = self._table_search()(images)
        gains = self._gains(images, proposal, q, _antithetic_pair(1.0, self.latent_dim)).mean(1)
        doubtful = np.flatnonzero((gains > MIN_GRID_GAIN) & (gains < CLEAR_GRID_GAIN))
        if len(doubtful) and self.latent_dim > 1:
            chosen = images[doubtful], proposal.some(doubtful), q.some(doubtful)
            more = self._gains(*chosen, _antithetic_pair(-1.0, self.latent_dim))
            gains[doubtful] = (gains[doubtful] + more.mean(1)) / 2
        return proposal.where(gains > MIN_GRID_GAIN, q)

    def _refined(self, images: Float32, q: Gaussians) -> Gaussians:
        from vae_runtime.latent.adaptive_importance import adapted

        rng = np.random.default_rng(SEED)
        proposal = adapted(q, lambda z: self._log_likelihood(images, z), rng)
        half = rng.standard_normal((JUDGING_PAIRS, self.latent_dim))
        gains = self._gains(images, proposal, q, np.concatenate([half, -half]))
        standard_error = gains.std(1) / np.sqrt(gains.shape[1])
        return proposal.where(gains.mean(1) > MIN_STANDARD_ERRORS * standard_error, q)

    def _gains(
        self, images: Float32, proposal: Gaussians, q: Gaussians, epsilon: Float64
    ) -> Float64:
        """How much more ELBO than q the proposal has, by each of the draws (K, D): (N, K)."""
        gains = self._log_likelihood(images, proposal.at(epsilon))
        gains -= self._log_likelihood(images, q.at(epsilon))
        gains += (kl_divergence(*q) - kl_divergence(*proposal))[:, None]
        return gains

    def _table_search(self) -> GridProposal:
        # Most instances never need the table, so these load with it alone.
        from vae_runtime.latent.decoder_table import decoder_table
        from vae_runtime.latent.grid_proposal import GridProposal

        if self._grid is None:
            table = decoder_table(self.decode, self.latent_dim, self.likelihood)
            self._grid = GridProposal(table)
        return self._grid

    def _log_likelihood(self, images: Float32, z: Float64) -> Float64:
        """log p(images | z) for images (N, C, H, W) and latents (N, K, D), (N, K)."""
        parts = []
        draws = max(1, DECODED_AT_ONCE // len(images))
        for start in range(0, z.shape[1], draws):
            some = z[:, start : start + draws]
            decoded = self.decode(some.reshape(-1, self.latent_dim))
            per_image = decoded.reshape(*some.shape[:2], *images.shape[1:])
            parts.append(log_likelihood(images[:, None], per_image, self.likelihood))
        return np.concatenate(parts, axis=1)


def _antithetic_pair(last: float, latent_dim: int) -> Float64:
    """Two opposite draws (2, D), each coordinate one standard deviation off; `last` ±1 the last."""
    draw = np.ones(latent_dim)
    draw[-1] = last
    return np.stack([draw, -draw])
