"""What torch's exporter writes of GroupNorm: fewer nodes compute the same."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper
from tests.export.rewrites.layers import (
    QUICK,
    assert_same,
    make_model,
    operators,
    random_weights,
)
from torch import nn

from vae_export.graphs import export_graph
from vae_export.rewrites import SIMPLIFYING_PASSES, rewrite
from vae_export.rewrites.normalization import reshape_to_known_shapes, scale_and_shift_at_once

sides = st.integers(1, 5)


@QUICK
@given(
    channels=sides,
    height=sides,
    width=sides,
    seed=st.integers(0, 99),
    constants_first=st.booleans(),
    rank=st.sampled_from([3, 4]),
)
def test_a_scale_and_a_shift_per_channel_are_one_node(
    channels: int, height: int, width: int, seed: int, constants_first: bool, rank: int
) -> None:
    shape = (1,) * (rank - 3) + (channels, 1, 1)
    weights = random_weights(seed, scale=shape, shift=shape)
    scaled, shifted = ["x", "scale"], ["s", "shift"]
    if constants_first:
        scaled.reverse()
        shifted.reverse()
    nodes = [helper.make_node("Mul", scaled, ["s"]), helper.make_node("Add", shifted, ["y"])]
    before = make_model(nodes, weights, (channels, height, width))
    after = rewrite(before, [scale_and_shift_at_once])
    assert after is not None
    assert operators(after) == {"BatchNormalization"}
    assert_same(before, after, (channels, height, width))


@pytest.mark.parametrize("shape", [(1, 4, 1), (3, 4, 4), (1, 1, 1)])
def test_a_scale_of_anything_but_channels_is_left_alone(shape: tuple[int, ...]) -> None:
    weights = random_weights(0, scale=shape, shift=(3, 1, 1))
    nodes = [
        helper.make_node("Mul", ["x", "scale"], ["s"]),
        helper.make_node("Add", ["s", "shift"], ["y"]),
    ]
    assert rewrite(make_model(nodes, weights, (3, 4, 4)), [scale_and_shift_at_once]) is None


def test_a_scaled_value_that_is_needed_elsewhere_is_left_alone() -> None:
    weights = random_weights(0, scale=(3, 1, 1), shift=(3, 1, 1))
    nodes = [
        helper.make_node("Mul", ["x", "scale"], ["s"]),
        helper.make_node("Add", ["s", "shift"], ["t"]),
        helper.make_node("Sub", ["t", "s"], ["y"]),
    ]
    assert rewrite(make_model(nodes, weights, (3, 4, 4)), [scale_and_shift_at_once]) is None


def test_reshapes_to_the_shape_of_a_value_whose_size_is_unknown_are_left_alone() -> None:
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Reshape", ["flat", "shape"], ["y"]),
    ]
    model = make_model(nodes, {}, (3, 4, 5))
    known = rewrite(model, [reshape_to_known_shapes])
    assert known is not None
    assert operators(known) == {"Flatten", "Reshape"}
    assert_same(model, known, (3, 4, 5))
    for dim, name in zip(model.graph.input[0].type.tensor_type.shape.dim[2:], "hw", strict=True):
        dim.dim_param = name
    assert rewrite(model, [reshape_to_known_shapes]) is None


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_a_group_norm_of_torch_is_four_nodes(groups: int) -> None:
    norm = nn.GroupNorm(groups, 6)
    with torch.no_grad():
        norm.weight.uniform_(-2, 2)
        norm.bias.uniform_(-2, 2)
    layers = nn.Sequential(norm, nn.SiLU(), nn.Conv2d(6, 6, 3, padding=1), nn.GroupNorm(groups, 6))
    before = export_graph(layers.eval(), (6, 4, 5), "x", ["y"], {})
    after = rewrite(before, SIMPLIFYING_PASSES)
    assert after is not None
    counted = [node.op_type for node in after.graph.node]
    assert counted.count("BatchNormalization") == counted.count("InstanceNormalization") == 2
    assert not {"Shape", "Add"} & set(counted)
    # Of SiLU.
    assert counted.count("Mul") == 1
    assert_same(before, after, (6, 4, 5))
