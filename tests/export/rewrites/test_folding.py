"""Pads and crops beside a convolution become its own, where that is the same."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper
from tests.export.rewrites.layers import QUICK, assert_same, make_model, operators, random_weights

from vae_export.rewrites import rewrite
from vae_export.rewrites.folding import fold_crop

OPEN_END = np.iinfo(np.int64).max


@QUICK
@given(
    kernel=st.integers(2, 5),
    rows=st.integers(0, 2),
    columns=st.integers(0, 2),
    side=st.integers(2, 6),
    at_once=st.booleans(),
    seed=st.integers(0, 99),
)
def test_crops_are_folded_into_the_transposed_convolution(
    kernel: int, rows: int, columns: int, side: int, at_once: bool, seed: int
) -> None:
    row_end = -rows if rows else OPEN_END
    column_end = -columns if columns else OPEN_END
    weights = random_weights(seed, w=(3, 4, kernel, kernel), b=(4,))
    weights |= {
        "zero": np.array([0]),
        "zeros": np.array([0, 0]),
        "row": np.array([2]),
        "column": np.array([3]),
        "row_and_column": np.array([2, 3]),
        "row_end": np.array([row_end]),
        "column_end": np.array([column_end]),
        "ends": np.array([row_end, column_end]),
        "step": np.array([1]),
    }
    conv = helper.make_node(
        "ConvTranspose", ["x", "w", "b"], ["u"], kernel_shape=[kernel] * 2, strides=[2, 2]
    )
    if at_once:
        crops = [helper.make_node("Slice", ["u", "zeros", "ends", "row_and_column"], ["y"])]
    else:
        crops = [
            helper.make_node("Slice", ["u", "zero", "row_end", "row", "step"], ["v"]),
            helper.make_node("Slice", ["v", "zero", "column_end", "column", "step"], ["y"]),
        ]
    before = make_model([conv, *crops], weights, (3, side, side))
    after = rewrite(before, [fold_crop])
    assert after is not None
    assert "Slice" not in operators(after)
    assert_same(before, after, (3, side, side))


@pytest.mark.parametrize("pad_value", [0.0, 1.0])
def test_only_zero_pads_are_folded(pad_value: float) -> None:
    weights = random_weights(0, w=(4, 3, 3, 3), b=(4,))
    weights |= {"p": np.array([0, 0, 0, 1, 0, 0, 1, 2]), "f": np.array(pad_value, np.float32)}
    nodes = [
        helper.make_node("Pad", ["x", "p", "f"], ["q"]),
        helper.make_node("Conv", ["q", "w", "b"], ["y"], kernel_shape=[3, 3], strides=[2, 2]),
    ]
    before = make_model(nodes, weights, (3, 7, 8))
    after = rewrite(before)
    assert (after is None) == (pad_value != 0)
    if after is not None:
        assert "Pad" not in operators(after)
        assert_same(before, after, (3, 7, 8))


def test_a_crop_up_to_a_given_row_is_left_alone() -> None:
    weights = random_weights(0, w=(3, 4, 3, 3), b=(4,))
    weights |= {"zero": np.array([0]), "end": np.array([9]), "row": np.array([2])}
    nodes = [
        helper.make_node(
            "ConvTranspose", ["x", "w", "b"], ["u"], kernel_shape=[3, 3], strides=[2, 2]
        ),
        helper.make_node("Slice", ["u", "zero", "end", "row"], ["y"]),
    ]
    assert rewrite(make_model(nodes, weights, (3, 5, 5)), [fold_crop]) is None
