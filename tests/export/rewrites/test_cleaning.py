"""What is cleaned away changes nothing."""

import numpy as np
from onnx import helper
from tests.export.rewrites.layers import assert_same, make_model, operators

from vae_export.rewrites import rewrite
from vae_export.rewrites.cleaning import (
    cancel_transposes,
    drop_unused_nodes,
    merge_equal_nodes,
    merge_reshapes,
)

SHAPE = (3, 4, 5)


def test_transposes_cancel_across_an_activation() -> None:
    nodes = [
        helper.make_node("Transpose", ["x"], ["a"], perm=[0, 3, 1, 2]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Transpose", ["b"], ["c"], perm=[0, 2, 3, 1]),
        helper.make_node("Neg", ["c"], ["y"]),
    ]
    before = make_model(nodes, {}, SHAPE)
    after = rewrite(before, (cancel_transposes, drop_unused_nodes))
    assert after is not None
    assert sorted(operators(after)) == ["Neg", "Relu"]
    assert_same(before, after, SHAPE)


def test_other_orders_stay() -> None:
    nodes = [
        helper.make_node("Transpose", ["x"], ["a"], perm=[0, 2, 3, 1]),
        helper.make_node("Transpose", ["a"], ["y"], perm=[0, 2, 3, 1]),
    ]
    assert rewrite(make_model(nodes, {}, SHAPE), (cancel_transposes,)) is None


def test_equal_nodes_become_one_and_different_ones_stay() -> None:
    weights = {"p": np.float32(2), "q": np.float32(2), "r": np.float32(3)}
    nodes = [
        helper.make_node("Mul", ["x", "p"], ["a"]),
        helper.make_node("Mul", ["x", "q"], ["b"]),
        helper.make_node("Mul", ["x", "r"], ["c"]),
        helper.make_node("Sum", ["a", "b", "c"], ["y"]),
    ]
    before = make_model(nodes, {k: np.asarray(v) for k, v in weights.items()}, SHAPE)
    after = rewrite(before, (merge_equal_nodes,))
    assert after is not None
    assert [node.op_type for node in after.graph.node].count("Mul") == 2
    assert_same(before, after, SHAPE)


def test_the_second_of_two_reshapes_is_enough() -> None:
    shapes = {"s": np.array([-1, 60]), "t": np.array([0, 5, 4, 3])}
    nodes = [
        helper.make_node("Reshape", ["x", "s"], ["a"]),
        helper.make_node("Reshape", ["a", "t"], ["y"]),
    ]
    before = make_model(nodes, shapes, SHAPE)
    after = rewrite(before, (merge_reshapes, drop_unused_nodes))
    assert after is not None
    assert [node.op_type for node in after.graph.node] == ["Reshape"]
    assert_same(before, after, SHAPE)
