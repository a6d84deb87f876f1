"""Cells of equal prior probability."""

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vae_runtime.latent.prior_cells import all_cells, middles, split, with_neighbors

CDF = NormalDist().cdf


@pytest.mark.parametrize("latent_dim", [1, 2])
def test_a_middle_is_the_middle_in_units_of_probability(latent_dim: int) -> None:
    cells = all_cells(5, latent_dim)
    assert cells.shape == (5**latent_dim, latent_dim)
    probabilities = np.vectorize(CDF)(middles(cells, 5))
    np.testing.assert_allclose(probabilities, (cells + 0.5) / 5, atol=1e-12)


@given(st.integers(1, 50), st.integers(1, 2), st.integers(0, 2**32))
def test_parts_lie_inside_their_cell_and_fill_it(side: int, latent_dim: int, seed: int) -> None:
    cell = np.random.default_rng(seed).integers(0, side, (1, latent_dim))
    parts = split(cell)[0]
    assert len(np.unique(parts, axis=0)) == 2**latent_dim
    assert (parts // 2 == cell).all()


def test_neighbors_stay_on_the_grid_and_come_once() -> None:
    image = np.array([0, 0, 7])
    cells = np.array([[0, 0], [0, 1], [4, 4]])
    images, around = with_neighbors(image, cells, 5)
    assert sorted(map(tuple, around[images == 0])) == [(i, j) for i in (0, 1) for j in (0, 1, 2)]
    assert sorted(map(tuple, around[images == 7])) == [(3, 3), (3, 4), (4, 3), (4, 4)]
