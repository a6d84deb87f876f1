"""Gaussian densities and mixtures."""

import numpy as np
import pytest

from vae_runtime.bundle import Component
from vae_runtime.latent.gaussian import draw_mixture, log_gaussian, log_mixture

MIXTURE = (
    Component(0.25, (-3.0, 0.0), ((1.0, 0.5), (0.5, 2.0))),
    Component(0.75, (3.0, 1.0), ((0.5, 0.0), (0.0, 0.5))),
)


def test_the_density_is_the_formula() -> None:
    cov = np.array(MIXTURE[0].cov)
    point = np.array([[0.3, -0.7]])
    deviation = point[0] - np.array(MIXTURE[0].mean)
    squared = deviation @ np.linalg.inv(cov) @ deviation
    expected = -0.5 * squared - 0.5 * np.log(np.linalg.det(2 * np.pi * cov))
    assert log_gaussian(point, np.array(MIXTURE[0].mean), cov)[0] == pytest.approx(expected)


def test_a_mixture_sums_to_one() -> None:
    axis = np.linspace(-12, 12, 400)
    points = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    cell = (axis[1] - axis[0]) ** 2
    assert np.exp(log_mixture(MIXTURE, points)).sum() * cell == pytest.approx(1, abs=1e-4)


def test_draws_have_the_mixtures_mean() -> None:
    draws = draw_mixture(MIXTURE, 20_000, np.random.default_rng(0))
    expected = 0.25 * np.array(MIXTURE[0].mean) + 0.75 * np.array(MIXTURE[1].mean)
    np.testing.assert_allclose(draws.mean(0), expected, atol=0.06)


def test_a_diagonal_covariance_may_be_a_vector() -> None:
    diagonal = (
        Component(0.25, (-3.0, 0.0), (1.0, 2.0)),
        Component(0.75, (3.0, 1.0), (0.5, 0.25)),
    )
    full = tuple(
        Component(part.weight, part.mean, tuple(map(tuple, np.diag(part.cov).tolist())))
        for part in diagonal
    )
    points = np.random.default_rng(0).normal(size=(50, 2))
    np.testing.assert_allclose(log_mixture(diagonal, points), log_mixture(full, points))
    draws = draw_mixture(diagonal, 100, np.random.default_rng(0))
    np.testing.assert_allclose(draws, draw_mixture(full, 100, np.random.default_rng(0)))
