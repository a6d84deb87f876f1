"""Random layers to rewrite, and the comparison of a graph before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from vae_export import ort
from vae_runtime.arrays import Float32, ImageShape

QUICK = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


@dataclass(frozen=True)
class UpsamplingLayer:
    """The settings of a stride-2 transposed convolution."""

    kernel: list[int]
    pads: list[int]
    output_padding: list[int]

    def node(self, output: str) -> onnx.NodeProto:
        """From x, with weight w and bias b."""
        return helper.make_node(
            "ConvTranspose",
            ["x", "w", "b"],
            [output],
            kernel_shape=self.kernel,
            strides=[2, 2],
            pads=self.pads,
            output_padding=self.output_padding,
        )


@st.composite
def upsampling_layers(draw: st.DrawFn, *, doubling: bool = True) -> UpsamplingLayer:
    """Layers that double their input, or of any kernel and pads that leave something of it."""
    kernel = []
    begins = []
    ends = []
    output_padding = []
    for _ in ("rows", "columns"):
        size = draw(st.integers(2, 5) if doubling else st.integers(1, 7))
        extra = draw(st.integers(0, 1))
        pads = size + extra - 2 if doubling else draw(st.integers(0, size + extra - 1))
        begin = draw(st.integers(0, pads))
        kernel.append(size)
        begins.append(begin)
        ends.append(pads - begin)
        output_padding.append(extra)
    return UpsamplingLayer(kernel, begins + ends, output_padding)


@st.composite
def last_layers(draw: st.DrawFn) -> tuple[onnx.ModelProto, ImageShape]:
    """A graph and its input's shape.

    A transposed convolution, ReLU, a convolution that keeps the size, sigmoid.
    """
    channels = draw(st.integers(1, 5))
    middle = draw(st.integers(1, 9))
    out = draw(st.integers(1, 4))
    up = draw(upsampling_layers())
    shape = (channels, draw(st.integers(1, 6)), draw(st.integers(1, 6)))
    kernel = [draw(st.integers(1, 5)) for _ in ("rows", "columns")]
    begins = [draw(st.integers(0, size - 1)) for size in kernel]
    ends = [size - 1 - begin for size, begin in zip(kernel, begins, strict=True)]
    weights = random_weights(
        draw(st.integers(0, 99)),
        w=(channels, middle, *up.kernel),
        b=(middle,),
        v=(out, middle, *kernel),
        c=(out,),
    )
    nodes = [
        up.node("u"),
        helper.make_node("Relu", ["u"], ["r"]),
        helper.make_node("Conv", ["r", "v", "c"], ["l"], kernel_shape=kernel, pads=begins + ends),
        helper.make_node("Sigmoid", ["l"], ["y"]),
    ]
    return make_model(nodes, weights, shape), shape


def make_model(
    nodes: Sequence[onnx.NodeProto], weights: Mapping[str, NDArray[Any]], shape: ImageShape
) -> onnx.ModelProto:
    """A model from x (batch, *shape) to y."""
    initializers = []
    for name, value in weights.items():
        initializers.append(numpy_helper.from_array(np.asarray(value), name))
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *shape])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", "c", "h", "w"])
    graph = helper.make_graph(nodes, "g", [x], [y], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    return model


def random_weights(seed: int, **shapes: tuple[int, ...]) -> dict[str, NDArray[Any]]:
    rng = np.random.default_rng(seed)
    weights: dict[str, NDArray[Any]] = {}
    for name, shape in shapes.items():
        weights[name] = rng.standard_normal(shape).astype(np.float32)
    return weights


def operators(model: onnx.ModelProto) -> set[str]:
    return {node.op_type for node in model.graph.node}


def assert_same(before: onnx.ModelProto, after: onnx.ModelProto, shape: ImageShape) -> None:
    """Both compute the same for a batch of three (3, *shape)."""
    expected = _outputs(before, shape)
    tolerance = 1e-5 * max(1, np.abs(expected).max())
    np.testing.assert_allclose(_outputs(after, shape), expected, atol=tolerance)


def _outputs(model: onnx.ModelProto, shape: ImageShape) -> Float32:
    x = np.random.default_rng(7).standard_normal((3, *shape)).astype(np.float32)
    (y,) = ort.run(model.SerializeToString(), x)
    return y
