"""A transposed convolution as four ordinary ones computes the same."""

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper
from tests.export.rewrites.layers import (
    QUICK,
    UpsamplingLayer,
    assert_same,
    make_model,
    operators,
    random_weights,
    upsampling_layers,
)

from vae_export.rewrites import Pass, rewrite
from vae_export.rewrites.phases import gather_phases, pair_phases, split_phases, stack_phases


@QUICK
@given(
    up=upsampling_layers(doubling=False),
    channels=st.integers(1, 6),
    out=st.integers(1, 6),
    height=st.integers(1, 7),
    width=st.integers(1, 7),
    activation=st.sampled_from(["Relu", "Sigmoid", "LeakyRelu", None]),
    split=st.sampled_from([split_phases, stack_phases, pair_phases]),
    seed=st.integers(0, 99),
)
def test_transposed_convolutions_become_phases(
    up: UpsamplingLayer,
    channels: int,
    out: int,
    height: int,
    width: int,
    activation: str | None,
    split: Pass,
    seed: int,
) -> None:
    weights = random_weights(seed, w=(channels, out, *up.kernel), b=(out,))
    if activation is None:
        nodes = [up.node("y")]
    else:
        nodes = [up.node("u"), helper.make_node(activation, ["u"], ["y"])]
    shape = (channels, height, width)
    before = make_model(nodes, weights, shape)
    after = rewrite(before, [split])
    assert after is not None
    assert "ConvTranspose" not in operators(after)
    assert_same(before, after, shape)


@pytest.mark.parametrize("pads", [[0, 0, 1, 1], [1, 1, 1, 1]])
def test_phases_of_unknown_size_are_interleaved_too(pads: list[int]) -> None:
    weights = random_weights(0, w=(3, 4, 3, 3), b=(4,))
    layer = UpsamplingLayer([3, 3], pads, [0, 0])
    before = make_model([layer.node("y")], weights, (3, 5, 6))
    for dim, name in zip(before.graph.input[0].type.tensor_type.shape.dim[2:], "hw", strict=True):
        dim.dim_param = name
    after = rewrite(before, [stack_phases])
    assert after is not None
    assert "DepthToSpace" in operators(after)
    assert_same(before, after, (3, 5, 6))


@QUICK
@given(
    up=upsampling_layers(doubling=False),
    out=st.integers(1, 6),
    height=st.integers(1, 7),
    width=st.integers(1, 7),
    activation=st.sampled_from(["Relu", None]),
    seed=st.integers(0, 99),
)
def test_rows_that_would_be_cut_off_are_not_computed(
    up: UpsamplingLayer, out: int, height: int, width: int, activation: str | None, seed: int
) -> None:
    weights = random_weights(seed, w=(3, out, *up.kernel), b=(out,))
    nodes = [up.node("y")]
    if activation is not None:
        nodes = [up.node("u"), helper.make_node(activation, ["u"], ["y"])]
    shape = (3, height, width)
    before = make_model(nodes, weights, shape)
    after = rewrite(before, [gather_phases])
    if after is None:
        stacked = rewrite(before, [stack_phases])
        assert stacked is not None
        # Nothing to cut off, or a phase of a single row or column that has none.
        assert "Slice" not in operators(stacked) or min(height, width) == 1
        return
    assert not {"ConvTranspose", "Slice"} & operators(after)
    assert_same(before, after, shape)


def test_four_by_four_becomes_seven_by_seven_with_a_hundred_products() -> None:
    layer = UpsamplingLayer([3, 3], [1, 1, 1, 1], [0, 0])
    before = make_model([layer.node("y")], random_weights(0, w=(8, 8, 3, 3), b=(8,)), (8, 4, 4))
    after = rewrite(before, [gather_phases])
    assert after is not None
    inferred = onnx.shape_inference.infer_shapes(after)
    shapes = {value.name: value.type.tensor_type.shape.dim for value in inferred.graph.value_info}
    weights = {tensor.name: tensor.dims for tensor in after.graph.initializer}
    products = 0
    for node in after.graph.node:
        if node.op_type == "Conv":
            _, _, height, width = (dim.dim_value for dim in shapes[node.output[0]])
            products += height * width * weights[node.input[1]][2] * weights[node.input[1]][3]
    assert products == 100
