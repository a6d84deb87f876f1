"""Morphology with square windows."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vae_runtime.formats.morphology import closed, dilated, eroded

values = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=8))


@given(values, st.integers(0, 5))
def test_a_dilation_is_the_maximum_of_each_window(array: np.ndarray, radius: int) -> None:
    grown = dilated(array, radius)
    for y, x in np.ndindex(*array.shape):
        top = max(0, y - radius)
        left = max(0, x - radius)
        assert grown[y, x] == array[top : y + radius + 1, left : x + radius + 1].max()


@given(values, st.integers(0, 5))
def test_an_erosion_is_the_dilation_of_the_negative(array: np.ndarray, radius: int) -> None:
    np.testing.assert_array_equal(eroded(array, radius), 255 - dilated(255 - array, radius))


def test_a_closing_takes_off_what_is_thin_and_dark() -> None:
    page = np.full((9, 9), 200, np.uint8)
    page[4] = 20
    assert closed(page, 1).min() == 200
