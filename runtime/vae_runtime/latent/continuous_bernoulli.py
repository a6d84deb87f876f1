"""The continuous Bernoulli distribution of pixels in [0, 1], by its mean.

Its density is exp(x η - A(η)) with A(η) = log((e^η - 1) / η), Loaiza-Ganem & Cunningham 2019, "The
continuous Bernoulli: fixing a pervasive error in variational autoencoders". The decoder of a bundle
gives the mean μ = A'(η) = 1 / (1 - e^-η) - 1 / η, as for every likelihood, and the density needs η.
"""

from __future__ import annotations

import numpy as np

from vae_runtime.arrays import Float32, Float64

# Means beyond are taken for these: η reaches from -1e7 to 1e7.
MIN_MEAN = 1e-7
# Below it the formulas of mean and variance are differences of large numbers; what their series
# leave out there is less than 1e-12.
SERIES_REACH = 1e-2
# The first guess is off by up to 5 %, and Newton's method squares that: 2e-3, 6e-6, 4e-11.
NEWTON_STEPS = 4


def natural_of_mean(mean: Float32) -> Float64:
    """η of each mean μ in [0, 1].

    By Newton's method from Cohen's approximation of the inverse Langevin function, for
    μ = (1 + coth(η / 2)) / 2 - 1 / η (Cohen 1991, "A Padé approximant to the inverse Langevin
    function").
    """
    inside = np.clip(mean.astype(np.float64), MIN_MEAN, 1 - MIN_MEAN)
    centered = 2 * inside - 1
    natural: Float64 = centered * (3 - centered**2) / (2 * inside * (1 - inside))
    for _ in range(NEWTON_STEPS):
        value, slope = mean_and_variance(natural)
        natural = natural - (value - inside) / slope
    return natural


def mean_and_variance(natural: Float64) -> tuple[Float64, Float64]:
    """A'(η) and A''(η)."""
    is_near_zero = np.abs(natural) < SERIES_REACH
    far = np.where(is_near_zero, 1.0, natural)
    decay = np.exp(-np.abs(far))
    # 1 / (1 - e^-η) is e^η / (e^η - 1), whose powers don't overflow below zero.
    direct = np.where(far > 0, 1.0, -decay) / (1 - decay) - 1 / far
    mean = np.where(is_near_zero, 0.5 + natural / 12 - natural**3 / 720, direct)
    spread = 1 / far**2 - decay / (1 - decay) ** 2
    variance = np.where(is_near_zero, 1 / 12 - natural**2 / 240, spread)
    return mean, variance


def log_normalizer(natural: Float64) -> Float64:
    """A(η)."""
    size = np.maximum(np.abs(natural), np.finfo(np.float64).tiny)
    result: Float64 = np.maximum(natural, 0) + np.log(-np.expm1(-size) / size)
    return result
