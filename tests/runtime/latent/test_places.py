"""Places in latent space: grids and paths."""

from statistics import NormalDist

import numpy as np
import pytest

from vae_runtime.latent.places import axis_points, direction, grid, path


def test_a_spherical_path_keeps_its_distance_from_the_origin() -> None:
    points = path(np.array([3.0, 0, 0]), np.array([0, 3.0, 0]), 9, "spherical")
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 3)


def test_a_spherical_path_between_opposite_latents_is_a_line() -> None:
    points = path(np.array([1.0, 0]), np.array([-1.0, 0]), 3, "spherical")
    np.testing.assert_allclose(points[1], 0, atol=1e-12)


def test_an_axis_runs_through_the_quantiles_of_the_prior() -> None:
    expected = [NormalDist().inv_cdf(p) for p in np.linspace(0.05, 0.95, 15)]
    assert axis_points(15).tolist() == expected


def test_with_one_latent_only_the_first_axis_counts() -> None:
    z = grid(np.array([-1.0, 1.0]), np.array([5.0, 6.0]), (0, 1), np.zeros(1))
    assert z.tolist() == [[-1], [1], [-1], [1]]


@pytest.mark.parametrize(("steps", "mode"), [(1, "linear"), (5, "curved")])
def test_a_path_that_cannot_be_is_a_value_error(steps: int, mode: str) -> None:
    with pytest.raises(ValueError, match=r"steps|mode 'curved'"):
        path(np.zeros(2), np.ones(2), steps, mode)  # type: ignore[arg-type]  # wrong on purpose


def test_a_direction_leads_from_the_mean_without_to_the_mean_with_it() -> None:
    with_it = np.array([[1.0, 2.0], [3.0, 2.0]])
    without = np.array([[0.0, 1.0]])
    assert direction(with_it, without).tolist() == [2, 1]
