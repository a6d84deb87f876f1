"""A transposed convolution as four ordinary ones computes the same."""

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
from vae_export.rewrites.phases import pair_phases, split_phases, stack_phases


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
