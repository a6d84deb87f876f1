"""log p(x) by quadrature against the truth."""

import numpy as np
import pytest
from tests.runtime.latent.linear_model import LinearModel

import vae_runtime
from vae_runtime.latent.decoder_table import MIN_SIDE, decoder_table, table_side
from vae_runtime.latent.likelihood import linear_form
from vae_runtime.latent.prior_cells import all_cells, middles
from vae_runtime.latent.quadrature import exact_log_likelihood


@pytest.mark.parametrize("latent_dim", [1, 2])
def test_it_is_the_truth_where_that_is_known(latent_dim: int) -> None:
    model = LinearModel(latent_dim)
    images = model.images(40)
    table = decoder_table(model.decode, latent_dim, model.likelihood)
    log_p = exact_log_likelihood(images, table, model.decode, model.likelihood)
    np.testing.assert_allclose(log_p, model.log_p(images), atol=0.02)


def test_a_posterior_much_narrower_than_a_cell_is_found() -> None:
    model = LinearModel(2)
    model.weights *= 30
    images = model.images(20)
    table = decoder_table(model.decode, 2, model.likelihood)
    log_p = exact_log_likelihood(images, table, model.decode, model.likelihood)
    np.testing.assert_allclose(log_p, model.log_p(images), atol=0.05)


@pytest.mark.slow
def test_a_uniform_grid_of_finer_cells_says_the_same_of_real_images(
    digits: vae_runtime.VAE, test_images: np.ndarray
) -> None:
    images = test_images[:24, None].astype(np.float32) / 255
    side = 160
    log_p = np.full(len(images), -np.inf)
    for cells in np.array_split(all_cells(side, 2), 25):
        form = linear_form(digits.decode(middles(cells, side)), digits.bundle.likelihood)
        at_middles = images.reshape(24, -1) @ form.natural.T - form.log_partition
        log_p = np.logaddexp(log_p, np.logaddexp.reduce(at_middles, axis=1))
    log_p -= np.log(side**2)
    assert abs((digits.score(images, bound="exact") - log_p).mean()) < 0.05


def test_large_images_have_a_table_of_the_same_memory() -> None:
    assert table_side(2, 784) == 96
    assert table_side(1, 784) == 128
    assert table_side(2, 3 * 64 * 64) == 36
    assert table_side(2, 3 * 4096 * 4096) == MIN_SIDE
