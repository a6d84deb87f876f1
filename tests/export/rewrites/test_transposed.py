"""Transposed convolutions that become ordinary ones compute the same."""

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

from vae_export.rewrites import rewrite
from vae_export.rewrites.transposed import block_last_upsampling, flip_stride_one

sides = st.integers(1, 6)


@QUICK
@given(data=st.data(), channels=sides, out=sides, height=sides, width=sides)
def test_stride_one_becomes_a_convolution_with_the_flipped_kernel(
    data: st.DataObject, channels: int, out: int, height: int, width: int
) -> None:
    kernel = [data.draw(st.integers(1, 5)), data.draw(st.integers(1, 5))]
    # No more than leaves something of the smallest image.
    pads = [data.draw(st.integers(0, (size - 1) // 2)) for size in (*kernel, *kernel)]
    weights = random_weights(data.draw(st.integers(0, 99)), w=(channels, out, *kernel), b=(out,))
    node = helper.make_node(
        "ConvTranspose", ["x", "w", "b"], ["y"], kernel_shape=kernel, pads=pads, strides=[1, 1]
    )
    before = make_model([node], weights, (channels, height, width))
    after = rewrite(before, [flip_stride_one])
    assert after is not None
    assert operators(after) == {"Conv"}
    assert_same(before, after, (channels, height, width))


def test_pads_beyond_the_kernel_are_left_alone() -> None:
    weights = random_weights(0, w=(2, 2, 3, 3))
    node = helper.make_node(
        "ConvTranspose", ["x", "w"], ["y"], kernel_shape=[3, 3], pads=[3, 0, 0, 0]
    )
    assert rewrite(make_model([node], weights, (2, 6, 6)), [flip_stride_one]) is None


@QUICK
@given(
    up=upsampling_layers(doubling=False),
    channels=sides,
    out=st.integers(1, 4),
    height=sides,
    width=sides,
    seed=st.integers(0, 99),
)
def test_a_last_upsampling_of_few_channels_becomes_one_convolution(
    up: UpsamplingLayer, channels: int, out: int, height: int, width: int, seed: int
) -> None:
    weights = random_weights(seed, w=(channels, out, *up.kernel), b=(out,))
    nodes = [up.node("l"), helper.make_node("Sigmoid", ["l"], ["y"])]
    before = make_model(nodes, weights, (channels, height, width))
    after = rewrite(before, [block_last_upsampling])
    assert after is not None
    assert operators(after) <= {"Conv", "DepthToSpace", "Slice", "Sigmoid"}
    assert_same(before, after, (channels, height, width))


def test_of_more_channels_it_is_left_alone() -> None:
    weights = random_weights(0, w=(3, 5, 3, 3), b=(5,))
    layer = UpsamplingLayer([3, 3], [0, 0, 1, 1], [0, 0])
    assert (
        rewrite(make_model([layer.node("y")], weights, (3, 4, 4)), [block_last_upsampling]) is None
    )
