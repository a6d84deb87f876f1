"""A last convolution of stride 1 as a strided one that makes blocks computes the same."""

import pytest
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

from vae_export.rewrites import rewrite
from vae_export.rewrites.editor import attributes
from vae_export.rewrites.strided import stride_last_convolution


@QUICK
@given(
    out=st.integers(1, 4),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    pads=st.lists(st.integers(0, 2), min_size=4, max_size=4),
    blocks=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    seed=st.integers(0, 99),
)
def test_a_last_convolution_makes_blocks_of_pixels(
    out: int, kernel: tuple[int, int], pads: list[int], blocks: tuple[int, int], seed: int
) -> None:
    top, left, bottom, right = pads
    height = 4 * blocks[0] + kernel[0] - 1 - top - bottom
    width = 4 * blocks[1] + kernel[1] - 1 - left - right
    if min(height, width) < 1:
        return
    weights = random_weights(seed, w=(out, 16, *kernel), b=(out,))
    nodes = [helper.make_node("Conv", ["x", *weights], ["y"], pads=pads)]
    before = make_model(nodes, weights, (16, height, width))
    after = rewrite(before, [stride_last_convolution])
    assert after is not None
    assert "DepthToSpace" not in operators(after)
    (conv,) = [node for node in after.graph.node if node.op_type == "Conv"]
    assert attributes(conv)["strides"] == ([4, 4] if out == 1 else [2, 2])
    assert_same(before, after, (16, height, width))


@pytest.mark.parametrize(
    ("out", "channels", "height"), [(5, 16, 8), (1, 15, 8), (1, 16, 9)], ids=str
)
def test_others_stay(out: int, channels: int, height: int) -> None:
    weights = random_weights(0, w=(out, channels, 3, 3))
    node = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])
    before = make_model([node], weights, (channels, height, 8))
    assert rewrite(before, [stride_last_convolution]) is None
