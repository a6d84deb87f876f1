"""Relative scores compare images of different kinds."""

import numpy as np

import vae_runtime
from vae_runtime.bundle import Likelihood
from vae_runtime.latent.likelihood import HALF_STEP, log_likelihood
from vae_runtime.latent.scores import relative_scores


def test_a_gray_image_is_not_punished_for_its_entropy(digits: vae_runtime.VAE) -> None:
    # Where the decoder gives the image itself, only the latents' cost is left.
    images = digits.decode(np.zeros((1, 2)))
    relative = digits.score(images, relative=True, samples=200)
    assert digits.score(images)[0] < -20
    assert -15 < relative[0] <= 0


def test_a_density_without_bound_at_black_scores_black_images() -> None:
    black = np.zeros((1, 1, 4, 4), np.float32)
    likelihood = Likelihood("continuous_bernoulli")
    nearly_black = np.full((1, 1, 1, 4, 4), HALF_STEP)
    score = log_likelihood(black[:, None], nearly_black, likelihood)[:, 0]
    assert relative_scores(score, black, likelihood)[0] == 0


def test_the_gaussian_score_knows_no_scale(color: vae_runtime.VAE) -> None:
    images = color.sample(6, seed=0)
    scores = color.score(images)
    relative = relative_scores(scores, images, color.bundle.likelihood)
    assert relative.shape == (6,)
    # A constant image that the model doesn't give exactly is explained worse than by itself.
    constant = np.full((1, *color.image_shape), 0.9, np.float32)
    assert color.score(constant, relative=True)[0] < relative.min()
