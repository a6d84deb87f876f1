"""Better Gaussians than the encoder's."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tests.runtime.latent.linear_model import LinearModel

import vae_runtime
from vae_runtime.arrays import Float32, Float64
from vae_runtime.bundle import Likelihood
from vae_runtime.latent.gaussian import Gaussians
from vae_runtime.latent.posterior import INFERENCES, PosteriorSearch


def search_and_guess(latent_dim: int) -> tuple[LinearModel, PosteriorSearch, Float32, Gaussians]:
    """A model with a known posterior, and an encoder that is a good deal off."""
    model = LinearModel(latent_dim)
    images = model.images(30)
    mean, log_var = model.best_gaussians(images)
    guess = Gaussians(mean + 1.5 * np.exp(0.5 * log_var), log_var + 1)
    search = PosteriorSearch(model.decode, latent_dim, model.likelihood)
    return model, search, images, guess


@pytest.mark.parametrize("latent_dim", [1, 2])
def test_the_grid_finds_the_best_gaussian(latent_dim: int) -> None:
    model, search, images, guess = search_and_guess(latent_dim)
    mean, log_var = model.best_gaussians(images)
    found = search.refined(images, guess)
    deviations = np.exp(0.5 * log_var)
    assert np.abs((found.z_mean - mean) / deviations).mean() < 0.2
    assert np.abs(found.z_log_var - log_var).mean() < 0.2


def test_with_more_dimensions_importance_sampling_comes_nearer() -> None:
    model, search, images, guess = search_and_guess(5)
    mean, log_var = model.best_gaussians(images)
    found = search.refined(images, guess)
    deviations = np.exp(0.5 * log_var)
    before = np.abs((guess.z_mean - mean) / deviations).mean()
    after = np.abs((found.z_mean - mean) / deviations).mean()
    assert after < 0.3 * before


@pytest.mark.parametrize("latent_dim", [2, 5])
def test_where_the_encoder_is_right_it_stays(latent_dim: int) -> None:
    model, search, images, _ = search_and_guess(latent_dim)
    best = Gaussians(*model.best_gaussians(images))
    found = search.refined(images, best)
    is_kept = (found.z_mean == best.z_mean).all(1)
    assert is_kept.mean() > 0.9


def mean_elbos(vae: vae_runtime.VAE, images: Float32, q: Gaussians) -> Float64:
    """The ELBO of each image, the mean of 64 draws."""
    rng = np.random.default_rng(9)
    scores = []
    search = PosteriorSearch(vae.decode, vae.latent_dim, vae.bundle.likelihood)
    for _ in range(64):
        draws = rng.standard_normal((len(images), 1, vae.latent_dim))
        scores.append(search.bound(images, q, draws))
    result: Float64 = np.mean(scores, axis=0)
    return result


@pytest.mark.slow
def test_real_images_gain_nats_and_none_loses_many(
    digits: vae_runtime.VAE, test_images: np.ndarray
) -> None:
    images = test_images[:60, None].astype(np.float32) / np.float32(255)
    elbos = {}
    for inference in INFERENCES:
        z_mean, z_log_var = digits.encode(images, inference=inference)
        q = Gaussians(z_mean.astype(np.float64), z_log_var.astype(np.float64))
        elbos[inference] = mean_elbos(digits, images, q)
    gains = elbos["refined"] - elbos["encoder"]
    assert gains.mean() > 2
    assert gains.min() > -1
    # No Gaussian has more than log p(x).
    assert (elbos["refined"] < digits.score(images, bound="exact") + 0.3).all()


def test_an_image_alone_has_the_latents_that_it_has_among_others(
    digits: vae_runtime.VAE, test_images: np.ndarray
) -> None:
    together = digits.encode(test_images[:9], inference="refined")
    alone = [digits.encode(test_images[i], inference="refined") for i in range(9)]
    for output in range(2):
        parts = np.concatenate([outputs[output] for outputs in alone])
        np.testing.assert_allclose(together[output], parts, atol=1e-4)


@pytest.mark.slow
def test_threads_and_a_second_run_give_the_same_bytes(
    digits: vae_runtime.VAE, test_images: np.ndarray
) -> None:
    images = test_images[:20]
    first = digits.encode(images, inference="refined")[0].tobytes()
    for threads in (1, 3):
        with vae_runtime.load(threads=threads) as vae:
            assert vae.encode(images, inference="refined")[0].tobytes() == first
    with vae_runtime.load() as vae, ThreadPoolExecutor(2) as pool:
        # All of them find no table yet.
        results = pool.map(lambda _: vae.encode(images, inference="refined")[0].tobytes(), range(2))
        assert set(results) == {first}


def test_close_frees_the_table_and_the_next_call_builds_it_again(
    test_images: np.ndarray,
) -> None:
    vae = vae_runtime.load()
    before = vae.encode(test_images[:2], inference="refined")[0]
    vae.close()
    assert vae._posterior._grid is None
    np.testing.assert_array_equal(vae.encode(test_images[:2], inference="refined")[0], before)


def test_wrong_arguments_are_named(color: vae_runtime.VAE, digits: vae_runtime.VAE) -> None:
    images = color.sample(2, seed=0)
    with pytest.raises(ValueError, match="one or two latent dimensions, this model has 3"):
        color.score(images, bound="exact")
    with pytest.raises(ValueError, match="inference 'best' is not one of encoder, refined"):
        color.encode(images, inference="best")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="bound 'tight' is not one of elbo, importance, exact"):
        digits.score(digits.sample(1, seed=0), bound="tight")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="samples=3 are for"):
        digits.score(digits.sample(1, seed=0), bound="exact", samples=3)


def test_nothing_in_gives_nothing_out(color: vae_runtime.VAE, digits: vae_runtime.VAE) -> None:
    for vae in (color, digits):
        nothing = np.empty((0, *vae.image_shape), np.float32)
        assert vae.encode(nothing, inference="refined")[0].shape == (0, vae.latent_dim)
        assert vae.score(nothing, relative=True).shape == (0,)
    assert digits.score(np.empty((0, 28, 28), np.float32), bound="exact").shape == (0,)


def test_posteriors_too_narrow_for_quadrature_are_refused() -> None:
    model = LinearModel(2)
    search = PosteriorSearch(model.decode, 2, Likelihood("continuous_bernoulli"))
    with pytest.raises(
        ValueError, match=r'has continuous_bernoulli; bound="importance" .*--samples 1000'
    ):
        search.exact(model.images(2))
