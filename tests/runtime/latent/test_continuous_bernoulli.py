"""The continuous Bernoulli distribution against quadrature."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vae_runtime.bundle import Likelihood
from vae_runtime.latent.continuous_bernoulli import (
    MIN_MEAN,
    SERIES_REACH,
    log_normalizer,
    mean_and_variance,
    natural_of_mean,
)
from vae_runtime.latent.likelihood import log_likelihood

NODES, WEIGHTS = np.polynomial.legendre.leggauss(200)
X = (NODES + 1) / 2
naturals = st.one_of(st.floats(-200, 200), st.floats(-2 * SERIES_REACH, 2 * SERIES_REACH))


@given(naturals)
def test_its_density_integrates_to_one_with_this_mean_and_variance(natural: float) -> None:
    eta = np.array([natural])
    density = np.exp(X * eta - log_normalizer(eta)) * WEIGHTS / 2
    mean, variance = mean_and_variance(eta)
    assert density.sum() == pytest.approx(1, abs=1e-9)
    assert (X * density).sum() == pytest.approx(mean[0], abs=1e-9)
    assert ((X - mean) ** 2 * density).sum() == pytest.approx(variance[0], rel=1e-6)


@given(st.floats(MIN_MEAN, 1 - MIN_MEAN))
def test_the_natural_parameter_is_that_of_the_mean(mean: float) -> None:
    natural = natural_of_mean(np.array([mean]))
    found, _ = mean_and_variance(natural)
    assert found[0] == pytest.approx(mean, rel=1e-8)


@given(st.floats(0, 0.5, width=32))
def test_black_and_white_change_places(mean: float) -> None:
    both = natural_of_mean(np.array([mean, 1 - mean]))
    assert both[1] == pytest.approx(-both[0], rel=1e-6, abs=1e-9)


def test_all_means_have_a_finite_density() -> None:
    decoded = np.linspace(0, 1, 64, dtype=np.float32).reshape(1, 1, 1, 8, 8)
    for value in (0, 0.5, 1):
        images = np.full_like(decoded, value)
        log_p = log_likelihood(images, decoded, Likelihood("continuous_bernoulli"))
        assert np.isfinite(log_p).all()


def test_a_gray_pixel_of_the_uniform_density_costs_nothing() -> None:
    gray = np.full((1, 1, 1, 2, 2), 0.5, np.float32)
    log_p = log_likelihood(gray, gray, Likelihood("continuous_bernoulli"))
    np.testing.assert_allclose(log_p, 0, atol=1e-12)
