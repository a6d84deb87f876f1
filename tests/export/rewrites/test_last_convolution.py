"""A last convolution below the pixel shuffle computes the same."""

import onnx
from hypothesis import given
from onnx import helper
from tests.export.rewrites.layers import QUICK, assert_same, last_layers, operators

from vae_export.rewrites import INT8_PASSES, rewrite
from vae_export.rewrites.convolutions import Read, Taps
from vae_export.rewrites.last_convolution import (
    block_last_convolution,
    block_reads,
    separate_behind_silu,
    separate_last_convolution,
)
from vae_runtime.arrays import ImageShape


def test_the_worked_example_of_the_docstring_is_right() -> None:
    taps, reads = block_reads(kernel=3, lead=1, side=2)
    assert taps == Taps(size=3, before=1, after=1, stride=1)
    assert reads == [
        Read(output=0, kernel=0, phase=1, tap=0),
        Read(output=0, kernel=1, phase=0, tap=1),
        Read(output=0, kernel=2, phase=1, tap=1),
        Read(output=1, kernel=0, phase=0, tap=1),
        Read(output=1, kernel=1, phase=1, tap=1),
        Read(output=1, kernel=2, phase=0, tap=2),
    ]


@QUICK
@given(last_layers())
def test_a_last_convolution_is_separated(layers: tuple[onnx.ModelProto, ImageShape]) -> None:
    before, shape = layers
    after = rewrite(before)
    assert after is not None
    assert "ConvTranspose" not in operators(after)
    assert "Concat" not in operators(after)
    assert_same(before, after, shape)


@QUICK
@given(last_layers())
def test_for_int8_a_last_convolution_makes_blocks(
    layers: tuple[onnx.ModelProto, ImageShape],
) -> None:
    before, shape = layers
    after = rewrite(before, INT8_PASSES)
    assert after is not None
    _, height, width = shape
    # Phases with an odd side are left to the other pass.
    in_blocks = height % 2 == 0 and width % 2 == 0
    assert ("Concat" in operators(after)) == in_blocks
    assert_same(before, after, shape)


@QUICK
@given(last_layers())
def test_behind_a_silu_it_is_separated_too(layers: tuple[onnx.ModelProto, ImageShape]) -> None:
    before, shape = layers
    behind_silu(before)
    after = rewrite(before, [separate_behind_silu])
    assert after is not None
    assert "ConvTranspose" not in operators(after)
    assert "Concat" not in operators(after)
    assert_same(before, after, shape)


@QUICK
@given(last_layers())
def test_for_int8_a_last_convolution_behind_a_silu_stays(
    layers: tuple[onnx.ModelProto, ImageShape],
) -> None:
    before, _ = layers
    behind_silu(before)
    assert rewrite(before, [block_last_convolution, separate_last_convolution]) is None


def behind_silu(model: onnx.ModelProto) -> None:
    """Put x · sigmoid(x) in place of the ReLU."""
    (relu,) = (node for node in model.graph.node if node.op_type == "Relu")
    source, target = relu.input[0], relu.output[0]
    gate = helper.make_node("Sigmoid", [source], ["gate"])
    relu.CopyFrom(helper.make_node("Mul", [source, "gate"], [target]))
    model.graph.node.insert(1, gate)
