"""What callers pass as images and latents is checked."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vae_runtime.arrays import check_images, check_latents

GRAY = (1, 28, 28)


@given(hnp.arrays(np.uint8, st.tuples(st.integers(0, 3), st.just(28), st.just(28))))
def test_bytes_and_floats_are_the_same_images(array: np.ndarray) -> None:
    expected = check_images(array, GRAY)
    assert expected.shape == (len(array), 1, 28, 28)
    np.testing.assert_array_equal(
        check_images(array.astype(np.float32) / np.float32(255), GRAY), expected
    )
    np.testing.assert_array_equal(check_images(array[:, None], GRAY), expected)


@given(hnp.arrays(np.float64, hnp.array_shapes(max_dims=4, max_side=4), elements=st.floats()))
def test_any_array_is_taken_or_refused_with_a_value_error(array: np.ndarray) -> None:
    try:
        image = check_images(array, (1, 2, 3))
    except ValueError:
        return
    assert image.shape[1:] == (1, 2, 3)
    assert np.isfinite(image).all()


@given(st.floats(width=32), st.sampled_from([np.float32, np.float64, np.float16]))
@example(-0.0, np.float32)
@example(np.nextafter(np.float32(1), np.float32(2)).item(), np.float32)
@example(-1e-45, np.float32)
def test_a_value_is_taken_exactly_if_it_lies_in_0_to_1(
    value: float, dtype: type[np.floating]
) -> None:
    image = np.full((1, 28, 28), 0.5, dtype)
    with np.errstate(over="ignore"):
        image[0, 3, 4] = value
    if 0 <= image[0, 3, 4] <= 1:
        np.testing.assert_array_equal(check_images(image, GRAY)[0, 0], image[0].astype(np.float32))
    else:
        with pytest.raises(ValueError, match="must lie in"):
            check_images(image, GRAY)


@pytest.mark.parametrize("dtype", [np.int64, object, "U3", bool])
def test_other_dtypes_are_type_errors(dtype: object) -> None:
    with pytest.raises(TypeError, match="floating point in"):
        check_images(np.zeros((1, 28, 28)).astype(dtype), GRAY)  # type: ignore[call-overload]


@given(
    hnp.arrays(
        np.float64,
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
        elements=st.floats(),
    )
)
def test_any_array_is_latents_or_a_value_error(array: np.ndarray) -> None:
    try:
        z = check_latents(array, 2)
    except ValueError:
        return
    assert z.shape[1] == 2
    assert np.isfinite(z).all()
