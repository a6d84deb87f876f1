"""log p(x | z), as a sum over pixels and as a matrix product."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vae_runtime.bundle import Likelihood
from vae_runtime.latent.likelihood import highest_log_likelihood, linear_form, log_likelihood

LIKELIHOODS = [
    Likelihood(),
    Likelihood("continuous_bernoulli"),
    Likelihood("gaussian", (-2.0, -3.0, -1.0)),
]


@pytest.mark.parametrize("likelihood", LIKELIHOODS, ids=lambda likelihood: likelihood.name)
@settings(max_examples=20)
@given(st.integers(0, 2**32))
def test_the_matrix_product_says_what_the_sum_says(likelihood: Likelihood, seed: int) -> None:
    rng = np.random.default_rng(seed)
    images = rng.random((4, 3, 5, 6), np.float32)
    decoded = rng.uniform(0.01, 0.99, (7, 3, 5, 6)).astype(np.float32)
    pairs = log_likelihood(images[:, None], np.repeat(decoded[None], 4, axis=0), likelihood)
    form = linear_form(decoded, likelihood)
    product = images.reshape(4, -1) @ form.natural.T - form.log_partition
    # They differ by a term of the image alone.
    difference = pairs - product
    np.testing.assert_allclose(difference, np.repeat(difference[:, :1], 7, axis=1), atol=2e-3)


@pytest.mark.parametrize("likelihood", LIKELIHOODS, ids=lambda likelihood: likelihood.name)
def test_no_decoder_reaches_more_than_the_image_itself(likelihood: Likelihood) -> None:
    rng = np.random.default_rng(0)
    images = rng.random((5, 3, 4, 4), np.float32)
    decoded = rng.random((5, 9, 3, 4, 4), np.float32)
    highest = highest_log_likelihood(images, likelihood)
    assert (log_likelihood(images[:, None], decoded, likelihood) <= highest[:, None]).all()
