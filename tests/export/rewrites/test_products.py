"""Convolutions as matrix products over pixels compute the same."""

from typing import Any

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper
from tests.export.rewrites.layers import (
    QUICK,
    assert_same,
    last_layers,
    make_model,
    operators,
    random_weights,
)

from vae_export.rewrites import rewrite
from vae_export.rewrites.choice import PRODUCT_PASSES
from vae_export.rewrites.editor import attributes
from vae_export.rewrites.products import multiply_pixels, transpose_few_outputs
from vae_runtime.arrays import ImageShape


def convolution(source: str, weight: str, output: str, **settings: Any) -> onnx.NodeProto:
    return helper.make_node("Conv", [source, weight], [output], **settings)


@QUICK
@given(
    channels=st.integers(1, 5),
    out=st.integers(1, 20),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    pads=st.lists(st.integers(0, 3), min_size=4, max_size=4),
    sides=st.tuples(st.integers(4, 7), st.integers(4, 7)),
    activation=st.sampled_from(["Relu", "Sigmoid", None]),
    has_bias=st.booleans(),
    seed=st.integers(0, 99),
)
def test_a_convolution_becomes_a_product(
    channels: int,
    out: int,
    kernel: tuple[int, int],
    pads: list[int],
    sides: tuple[int, int],
    activation: str | None,
    has_bias: bool,
    seed: int,
) -> None:
    weights = random_weights(seed, w=(out, channels, *kernel), b=(out,))
    if not has_bias:
        del weights["b"]
    nodes = [helper.make_node("Conv", ["x", *weights], ["c" if activation else "y"], pads=pads)]
    if activation:
        nodes.append(helper.make_node(activation, ["c"], ["y"]))
    shape = (channels, *sides)
    before = make_model(nodes, weights, shape)
    after = rewrite(before, (transpose_few_outputs, multiply_pixels))
    assert after is not None
    assert "Conv" not in operators(after)
    assert_same(before, after, shape)


@QUICK
@given(last_layers())
def test_whole_decoders_keep_no_convolution_that_gathers_windows(
    layers: tuple[onnx.ModelProto, ImageShape],
) -> None:
    before, shape = layers
    after = rewrite(before, PRODUCT_PASSES)
    assert after is not None
    assert "Conv" not in operators(after)
    for node in after.graph.node:
        if node.op_type == "ConvTranspose":
            assert "strides" not in attributes(node)
    assert_same(before, after, shape)


def test_convolutions_of_one_value_share_its_taps() -> None:
    weights = random_weights(0, v=(20, 3, 2, 2), w=(20, 3, 2, 2))
    nodes = [
        convolution("x", "v", "a", pads=[1, 1, 0, 0]),
        convolution("x", "w", "b", pads=[0, 0, 1, 1]),
        helper.make_node("Add", ["a", "b"], ["y"]),
    ]
    before = make_model(nodes, weights, (3, 5, 6))
    after = rewrite(before, (multiply_pixels,))
    assert after is not None
    kinds = [node.op_type for node in after.graph.node]
    assert kinds.count("Pad") == 1
    # Of eight taps the one that both begin at is the value itself.
    assert kinds.count("Slice") == 6
    assert_same(before, after, (3, 5, 6))


@pytest.mark.parametrize(
    "settings", [{"strides": [2, 2]}, {"group": 2}, {"dilations": [2, 2]}], ids=str
)
def test_other_convolutions_stay(settings: dict[str, Any]) -> None:
    channels = 4 // settings.get("group", 1)
    weights = random_weights(0, w=(4, channels, 2, 2))
    before = make_model([convolution("x", "w", "y", **settings)], weights, (4, 6, 6))
    assert rewrite(before, (transpose_few_outputs, multiply_pixels)) is None
