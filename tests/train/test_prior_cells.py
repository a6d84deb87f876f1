"""Cells of equal prior probability, and a point in each."""

import pytest
import torch

from vae_train.prior_cells import cell_of, cell_points, cells_per_axis, middle_points


@pytest.mark.parametrize("latent_dim", [1, 2])
def test_draws_from_the_prior_fall_into_every_cell_equally_often(latent_dim: int) -> None:
    z = torch.randn(160_000, latent_dim, generator=torch.Generator().manual_seed(0))
    counts = torch.bincount(cell_of(z, 16), minlength=16)
    assert len(counts) == 16
    # Four standard deviations of a count are 390.
    assert (counts - 10_000).abs().max() < 390


@pytest.mark.parametrize("place", [0.01, 0.5, 0.99])
@pytest.mark.parametrize(("cells", "latent_dim"), [(16, 1), (16, 2), (9216, 2)])
def test_each_cell_has_its_point(cells: int, latent_dim: int, place: float) -> None:
    z = cell_points(cells, latent_dim, torch.full((latent_dim,), place))
    assert z.shape == (cells, latent_dim)
    assert z.dtype == torch.float32
    assert torch.equal(cell_of(z, cells), torch.arange(cells))


def test_no_point_is_infinitely_far_out() -> None:
    assert cell_points(16, 2, torch.zeros(2)).isfinite().all()


def test_middle_points_are_symmetric() -> None:
    z = middle_points(256, 2)
    torch.testing.assert_close(z, -z.flip(0), atol=1e-6, rtol=0)


def test_a_grid_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="cells of the prior need one or two latent dimensions"):
        cells_per_axis(27, 3)
    with pytest.raises(ValueError, match="10 cells are no square grid"):
        cells_per_axis(10, 2)
