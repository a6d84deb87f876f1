"""The mixture for the latents of all images."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vae_export.labels import mixture_records
from vae_runtime.latent.gaussian import draw_mixture, log_mixture
from vae_train.density import MAX_COMPONENTS, MIN_IMAGES_PER_COMPONENT, fit_density


def latents(rng: np.random.Generator, n: int, dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Two clusters far from each other, with small posteriors."""
    means = 0.1 * rng.standard_normal((n, dim))
    means[: n // 2, 0] += 2
    means[n // 2 :, 0] -= 2
    return means, np.full((n, dim), -6.0)


@pytest.mark.parametrize("dim", [1, 2, 5, 40])
def test_draws_lie_where_the_images_do_and_not_between(dim: int) -> None:
    rng = np.random.default_rng(0)
    density = mixture_records(fit_density(*latents(rng, 800, dim)))
    draws = draw_mixture(density, 1000, rng)
    assert draws.shape == (1000, dim)
    assert np.mean(np.abs(np.abs(draws[:, 0]) - 2) < 0.6) > 0.97
    assert 0.4 < np.mean(draws[:, 0] > 0) < 0.6


def test_it_is_more_probable_than_one_gaussian() -> None:
    rng = np.random.default_rng(1)
    z_mean, log_var = latents(rng, 800, 2)
    few = mixture_records(fit_density(z_mean[:MIN_IMAGES_PER_COMPONENT], log_var[:40]))
    many = mixture_records(fit_density(z_mean, log_var))
    assert len(few) == 1
    assert len(many) == 800 // MIN_IMAGES_PER_COMPONENT
    assert log_mixture(many, z_mean).mean() > -1


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 300), st.integers(1, 6), st.integers(0, 2**32))
def test_any_latents_give_a_valid_mixture(n: int, dim: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    # Many equal images too.
    z_mean = np.round(rng.standard_normal((n, dim)))
    density = mixture_records(fit_density(z_mean, rng.uniform(-20, 1, (n, dim))))
    assert 1 <= len(density) <= MAX_COMPONENTS
    assert sum(component.weight for component in density) == pytest.approx(1)
    assert np.isfinite(draw_mixture(density, 10, rng)).all()
    assert np.isfinite(log_mixture(density, z_mean)).all()


def test_latents_that_are_images_need_no_memory_for_their_products() -> None:
    rng = np.random.default_rng(3)
    density = fit_density(rng.standard_normal((100, 4096)), np.full((100, 4096), -2.0))
    assert np.shape(density[0]["cov"]) == (4096,)


def test_the_same_latents_give_the_same_mixture() -> None:
    z_mean, log_var = latents(np.random.default_rng(2), 400, 2)
    assert fit_density(z_mean, log_var) == fit_density(z_mean, log_var)
