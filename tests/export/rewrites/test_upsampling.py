"""Nearest upsampling beside convolutions: each rewrite computes the same."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import NodeProto, helper
from tests.export.rewrites.layers import (
    QUICK,
    assert_same,
    make_model,
    operators,
    random_weights,
)

from vae_export.rewrites import SIMPLIFYING_PASSES, rewrite
from vae_export.rewrites.upsampling import (
    convolve_before_upsampling,
    drop_resize_by_one,
    transpose_upsampled_convolution,
)

sides = st.integers(1, 6)


def resize(source: str, output: str, scale: float, **changes: Any) -> NodeProto:
    """As torch exports nearest upsampling."""
    settings = {
        "mode": "nearest",
        "coordinate_transformation_mode": "asymmetric",
        "nearest_mode": "floor",
        **changes,
    }
    return helper.make_node("Resize", [source, "", f"scales{scale:g}"], [output], **settings)


def scales(scale: float) -> dict[str, np.ndarray]:
    return {f"scales{scale:g}": np.array([1, 1, scale, scale], np.float32)}


@QUICK
@given(
    channels=sides,
    out=sides,
    height=sides,
    width=sides,
    seed=st.integers(0, 99),
    bias=st.booleans(),
)
def test_nearest_and_a_3x3_convolution_become_a_transposed_one(
    channels: int, out: int, height: int, width: int, seed: int, bias: bool
) -> None:
    weights = random_weights(seed, w=(out, channels, 3, 3), b=(out,)) | scales(2)
    inputs = ["u", "w", "b"] if bias else ["u", "w"]
    conv = helper.make_node("Conv", inputs, ["y"], kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    before = make_model([resize("x", "u", 2), conv], weights, (channels, height, width))
    after = rewrite(before, [transpose_upsampled_convolution])
    assert after is not None
    assert operators(after) == {"ConvTranspose"}
    assert_same(before, after, (channels, height, width))
    split = rewrite(before)
    assert split is not None
    assert "Resize" not in operators(split)
    assert_same(before, split, (channels, height, width))


@QUICK
@given(channels=sides, out=sides, height=sides, width=sides, seed=st.integers(0, 99))
def test_a_1x1_convolution_moves_before_the_upsampling(
    channels: int, out: int, height: int, width: int, seed: int
) -> None:
    weights = random_weights(seed, w=(out, channels, 1, 1), b=(out,)) | scales(2)
    conv = helper.make_node("Conv", ["u", "w", "b"], ["y"], kernel_shape=[1, 1])
    before = make_model([resize("x", "u", 2), conv], weights, (channels, height, width))
    after = rewrite(before, [convolve_before_upsampling])
    assert after is not None
    assert [node.op_type for node in after.graph.node] == ["Conv", "Resize"]
    assert_same(before, after, (channels, height, width))


def test_a_1x1_convolution_moves_before_an_upsampling_to_a_size() -> None:
    upsampling = resize("x", "u", 2)
    upsampling.input[:] = ["x", "", "", "sizes"]
    nodes = [
        helper.make_node("Shape", ["x"], ["batch_size"], start=0, end=1),
        # Three channels: the convolution makes five.
        helper.make_node("Concat", ["batch_size", "rest"], ["sizes"], axis=0),
        upsampling,
        helper.make_node("Conv", ["u", "w"], ["y"], kernel_shape=[1, 1]),
    ]
    weights = random_weights(0, w=(5, 3, 1, 1)) | {"rest": np.array([3, 8, 12])}
    before = make_model(nodes, weights, (3, 4, 6))
    after = rewrite(before, [convolve_before_upsampling])
    assert after is not None
    assert [node.op_type for node in after.graph.node if "x" in node.input] == ["Shape", "Conv"]
    assert_same(before, after, (3, 4, 6))


@QUICK
@given(channels=sides, out=sides, height=sides, width=sides, seed=st.integers(0, 99))
def test_an_upsampling_that_two_convolutions_take_leaves_both(
    channels: int, out: int, height: int, width: int, seed: int
) -> None:
    # As in lightning-bolts' residual blocks.
    weights = random_weights(seed, w=(out, channels, 3, 3), v=(out, channels, 1, 1)) | scales(2)
    nodes = [
        resize("x", "u", 2),
        helper.make_node("Conv", ["u", "w"], ["a"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["u", "v"], ["b"], kernel_shape=[1, 1]),
        helper.make_node("Add", ["a", "b"], ["y"]),
    ]
    before = make_model(nodes, weights, (channels, height, width))
    after = rewrite(before, [convolve_before_upsampling, transpose_upsampled_convolution])
    assert after is not None
    counted = sorted(node.op_type for node in after.graph.node)
    assert counted == ["Add", "Conv", "ConvTranspose", "Resize"]
    assert_same(before, after, (channels, height, width))


def test_an_upsampling_that_something_else_takes_is_left_alone() -> None:
    weights = random_weights(0, w=(3, 3, 3, 3)) | scales(2)
    nodes = [
        resize("x", "u", 2),
        helper.make_node("Conv", ["u", "w"], ["a"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["a", "u"], ["y"]),
    ]
    before = make_model(nodes, weights, (3, 4, 5))
    assert rewrite(before, [transpose_upsampled_convolution, *SIMPLIFYING_PASSES]) is None


def test_a_resize_by_one_is_nothing() -> None:
    weights = random_weights(0, w=(2, 3, 3, 3)) | scales(1)
    conv = helper.make_node("Conv", ["u", "w"], ["y"], kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    before = make_model([resize("x", "u", 1), conv], weights, (3, 4, 5))
    after = rewrite(before, [drop_resize_by_one])
    assert after is not None
    assert operators(after) == {"Conv"}
    assert_same(before, after, (3, 4, 5))


@pytest.mark.parametrize(
    ("scale", "change"),
    [
        (3, {}),
        (2, {"mode": "linear"}),
        (2, {"coordinate_transformation_mode": "half_pixel"}),
        (2, {"nearest_mode": "ceil"}),
    ],
    ids=str,
)
def test_another_upsampling_is_left_alone(scale: float, change: dict[str, Any]) -> None:
    weights = random_weights(0, w=(2, 3, 3, 3)) | scales(scale)
    conv = helper.make_node("Conv", ["u", "w"], ["y"], kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    before = make_model([resize("x", "u", scale, **change), conv], weights, (3, 4, 5))
    assert rewrite(before, [transpose_upsampled_convolution, *SIMPLIFYING_PASSES]) is None
