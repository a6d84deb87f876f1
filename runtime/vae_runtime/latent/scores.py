"""Which score an image gets, and how scores of different kinds of images are compared.

A raw score says how probable the model finds an image, and simple images are more probable than
intricate ones whatever the model was trained on: a model of clothes may give digits the higher
ELBO (Nalisnick et al. 2019, "Do deep generative models know what they don't know?"). A relative
score sets it against what the image itself allows, without another network:

- Bernoulli: the score less log p(x | z) of a decoder that gives the image itself,
  Σ x log x + (1 - x) log(1 - x). What is left is -KL(image || decoded) summed over pixels, and the
  latents' cost.
- Continuous Bernoulli: the same with that density, of a decoder that comes as near to black and
  white as half a step of 8 bits, for there it has no bound.
- Gaussian: there the image itself costs the same for all images, so another yardstick is needed: a
  constant image. With R the squared error of the model in units of its variance, the latents' cost
  included, and B that of each channel's mean, the score is P/2 log(B / R) over P values. That is
  the generalized likelihood ratio of both when each may choose the scale of its noise.
"""

from __future__ import annotations

import zlib
from typing import Literal, get_args

import numpy as np

from vae_runtime.arguments import one_of
from vae_runtime.arrays import Float32, Float64
from vae_runtime.bundle import Likelihood
from vae_runtime.latent.likelihood import highest_log_likelihood

Bound = Literal["elbo", "importance", "exact"]
BOUNDS: tuple[Bound, ...] = get_args(Bound)
# The variance of the rounding to 8 bits, so that a constant image has an error too.
ROUNDING_VARIANCE = 1 / (12 * 255**2)


def chosen_bound(bound: Bound | None, samples: int) -> Bound:
    """The bound that is asked for. Raises ValueError for one that doesn't take these samples."""
    if samples < 1:
        raise ValueError(f"samples must be at least 1, not {samples}")
    if bound is None:
        return "elbo" if samples == 1 else "importance"
    one_of(bound, "bound", BOUNDS)
    if bound != "importance" and samples > 1:
        raise ValueError(f'samples={samples} are for bound="importance", not for "{bound}"')
    return bound


def draws_of(
    images: Float32, samples: int, latent_dim: int, seed: int | np.random.Generator
) -> Float64:
    """Standard normal draws (N, samples, latent_dim) for each of the images.

    With a number as `seed` they depend on it and the image alone, so an image has the same score in
    any company, on one machine or on a hundred. A Generator is drawn from in order.
    """
    if isinstance(seed, np.random.Generator):
        return seed.standard_normal((len(images), samples, latent_dim))
    draws = np.empty((len(images), samples, latent_dim))
    for row, image in zip(draws, images, strict=True):
        rng = np.random.default_rng([seed, zlib.crc32(np.ascontiguousarray(image).data)])
        row[:] = rng.standard_normal(row.shape)
    return draws


def relative_scores(scores: Float64, images: Float32, likelihood: Likelihood) -> Float64:
    """Scores (N,) of images (N, C, H, W) against what the images allow, (N,) nats."""
    shortfall = highest_log_likelihood(images, likelihood) - scores
    if likelihood.name != "gaussian":
        return -shortfall
    channels, height, width = images.shape[1:]
    pixels = height * width
    precision = np.exp(-np.array(likelihood.log_var))
    rounding = ROUNDING_VARIANCE * precision.sum() * pixels
    error = 2 * shortfall + rounding
    variance = images.var((2, 3), dtype=np.float64)
    error_of_constant = (variance @ precision) * pixels + rounding
    ratio: Float64 = 0.5 * channels * pixels * np.log(error_of_constant / error)
    return ratio
