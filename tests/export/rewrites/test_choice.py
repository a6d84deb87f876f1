"""Rewrites are chosen place by place, alike every time, and change nothing but the speed."""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import numpy as np
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

from vae_export.costs import reckoned
from vae_export.graphs import require_readable
from vae_export.rewrites.choice import fastest_rewrite
from vae_runtime.arrays import ImageShape
from vae_runtime.engine.conditions import BLOCKED_LAYOUTS, PLAIN_LAYOUTS, Condition

REPEATED = {
    "mode": "nearest",
    "coordinate_transformation_mode": "asymmetric",
    "nearest_mode": "floor",
}


def two_upsamplings(channels: Sequence[int], side: int) -> onnx.ModelProto:
    """Two transposed convolutions from, between and to these numbers of channels."""
    weights = random_weights(0, w=(*channels[:2], 4, 4), v=(*channels[1:], 4, 4))
    up = partial(
        helper.make_node,
        "ConvTranspose",
        kernel_shape=[4, 4],
        strides=[2, 2],
        pads=[1, 1, 1, 1],
    )
    nodes = [
        up(inputs=["x", "w"], outputs=["u"]),
        helper.make_node("Relu", ["u"], ["r"]),
        up(inputs=["r", "v"], outputs=["y"]),
    ]
    return make_model(nodes, weights, (channels[0], side, side))


def same_convolution(channels: int, side: int) -> onnx.ModelProto:
    """A 3×3 convolution that keeps channels, height and width."""
    conv = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1], kernel_shape=[3, 3])
    weights = random_weights(0, w=(channels, channels, 3, 3))
    return with_image(make_model([conv], weights, (channels, side, side)), channels, side)


def with_image(model: onnx.ModelProto, channels: int, side: int) -> onnx.ModelProto:
    """The model, saying how large its output is, as exported ones do."""
    for dim, size in zip(
        model.graph.output[0].type.tensor_type.shape.dim[1:], (channels, side, side), strict=True
    ):
        dim.dim_value = size
    return model


def rewritten(model: onnx.ModelProto, layouts: Condition = BLOCKED_LAYOUTS) -> onnx.ModelProto:
    reckon = partial(reckoned, layouts=layouts)
    return onnx.load_from_string(fastest_rewrite(model.SerializeToString(), reckon))


@QUICK
@given(last_layers(), st.sampled_from([BLOCKED_LAYOUTS, PLAIN_LAYOUTS]))
def test_the_choice_computes_the_same_and_is_reckoned_no_slower(
    layers: tuple[onnx.ModelProto, ImageShape], layouts: Condition
) -> None:
    before, shape = layers
    after = rewritten(before, layouts)
    assert_same(before, after, shape)
    before_time, after_time = (
        reckoned(model.SerializeToString(), layouts) for model in (before, after)
    )
    assert all(then <= now for then, now in zip(after_time, before_time, strict=True))


def test_one_layer_is_rewritten_and_the_next_is_not() -> None:
    model = two_upsamplings([4, 4, 128], 4)
    after = rewritten(model)
    assert operators(after) >= {"Conv", "ConvTranspose"}
    assert_same(model, after, (4, 4, 4))


@pytest.mark.parametrize(
    ("channels", "side", "pays"),
    # Of one tile per image sixteen matrices are read for a handful of rows.
    [(256, 16, True), (512, 32, True), (128, 16, False), (512, 2, False)],
)
def test_tiles_are_taken_where_channels_and_pixels_are_many(
    channels: int, side: int, pays: bool
) -> None:
    assert ("Split" in operators(rewritten(same_convolution(channels, side)))) == pays


def test_many_layers_in_tiles_gain_together() -> None:
    weights = random_weights(0, w=(256, 256, 3, 3))
    nodes = []
    names = ["x", "a", "b", "c", "d", "e", "f", "y"]
    for source, target in pairwise(names):
        inputs = [source, "w"]
        nodes.append(helper.make_node("Conv", inputs, [target], pads=[1] * 4, kernel_shape=[3, 3]))
    after = rewritten(with_image(make_model(nodes, weights, (256, 16, 16)), 256, 16))
    assert "Conv" not in operators(after)


def test_tiles_are_not_taken_where_the_runtime_would_refuse_their_memory() -> None:
    conv = partial(helper.make_node, "Conv")
    nodes = [
        conv(["x", "w"], ["u"], kernel_shape=[1, 1]),
        conv(["u", "v"], ["r"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        conv(["r", "t"], ["y"], kernel_shape=[1, 1]),
    ]
    weights = random_weights(0, w=(256, 1, 1, 1), v=(1024, 256, 3, 3), t=(1, 1024, 1, 1))
    gray = with_image(make_model(nodes, weights, (1, 64, 64)), 1, 64)
    require_readable("decoder", gray.SerializeToString())
    after = rewritten(gray)
    require_readable("decoder", after.SerializeToString())
    assert "Split" not in operators(after)


def test_tiles_are_not_taken_with_plain_layouts() -> None:
    before = same_convolution(256, 16).SerializeToString()
    reckon = partial(reckoned, layouts=PLAIN_LAYOUTS)
    after = onnx.load_from_string(fastest_rewrite(before, reckon, with_products=True))
    assert "Split" not in operators(after)


def test_an_upsampling_of_many_channels_is_computed_in_tiles() -> None:
    up = helper.make_node("Resize", ["x", "", "s"], ["u"], **REPEATED)
    conv = helper.make_node("Conv", ["u", "w"], ["y"], pads=[1, 1, 1, 1], kernel_shape=[3, 3])
    weights = random_weights(0, w=(256, 256, 3, 3))
    weights["s"] = np.array([1, 1, 2, 2], np.float32)
    before = with_image(make_model([up, conv], weights, (256, 16, 16)), 256, 32)
    after = rewritten(before)
    assert operators(after) >= {"Split", "MatMul"}
    assert not {"Conv", "Resize"} & operators(after)
    assert_same(before, after, (256, 16, 16))


def test_the_same_graph_is_rewritten_to_the_same_bytes() -> None:
    model = two_upsamplings([96, 96, 96], 8)
    first, second = (rewritten(model).SerializeToString() for _ in range(2))
    assert first == second != model.SerializeToString()


@pytest.mark.parametrize("layouts", [BLOCKED_LAYOUTS, PLAIN_LAYOUTS])
def test_a_graph_without_places_stays_as_it_is(layouts: Condition) -> None:
    model = make_model([helper.make_node("Relu", ["x"], ["y"])], {}, (2, 3, 3))
    assert rewritten(model, layouts) == model
