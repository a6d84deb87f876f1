"""Bias correction for int8 decoders: their images become as bright as those of the fp32 graph, on average.

Rounding weights and clipping activations shifts every logit by about the same amount, which costs more ELBO than the
scatter around it (Nagel et al. 2019, "Data-free quantization through weight equalization and bias correction",
section 4.2).
"""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from vae_export import parity
from vae_export.rewrites.editor import attributes

Array = NDArray[np.float32]
BETWEEN = ("Sigmoid", "DepthToSpace", "Reshape", "Transpose", "QuantizeLinear", "DequantizeLinear")
LEAST_SLOPE = 1e-6


def brightened(int8: bytes, latents: Array, images: Array) -> bytes:
    """`int8` with the bias of its last convolution moved until each channel is as bright on average as in `images`.

    `images` (N, C, H, W) are what the fp32 graph makes of `latents` (N, latent_dim). One Newton step: the mean of a
    channel grows by mean(p (1 - p)) per unit of its bias. A decoder that doesn't end in a convolution and a sigmoid
    stays as it is.
    """
    model = onnx.load_from_string(int8)
    found = _last_bias(model.graph)
    if found is None:
        return int8
    bias, unit, shuffled = found
    (got,) = parity.run(int8, latents)
    axes = (0, 2, 3)
    shift = (images.mean(axes) - got.mean(axes)) / np.maximum((got * (1 - got)).mean(axes), LEAST_SLOPE)
    values = numpy_helper.to_array(bias)
    # A pixel shuffle's channels are (a, b, channel) in mode DCR, torch's (channel, a, b) in mode CRD.
    times = len(values) // len(shift)
    moved = values + (np.repeat(shift, times) if shuffled == "CRD" else np.tile(shift, times)) / unit
    if values.dtype == np.int32:
        moved = np.round(moved)
    bias.CopyFrom(numpy_helper.from_array(moved.astype(values.dtype), bias.name))
    return bytes(model.SerializeToString())


def _last_bias(graph: onnx.GraphProto) -> tuple[onnx.TensorProto, Array, str] | None:
    """The bias of the convolution whose result goes through a sigmoid into the images.

    With the size of its units, and the mode of the pixel shuffle behind it.
    """
    makers = {name: node for node in graph.node for name in node.output}
    values = {tensor.name: tensor for tensor in graph.initializer}
    passed: list[onnx.NodeProto] = []

    def maker(name: str) -> onnx.NodeProto | None:
        node = makers.get(name)
        while node is not None and node.op_type in BETWEEN:
            passed.append(node)
            node = makers.get(node.input[0])
        return node

    node = maker(graph.output[0].name)
    if sum(node.op_type == "Sigmoid" for node in passed) != 1:
        return None
    for conv in [maker(name) for name in node.input] if node is not None and node.op_type == "Add" else [node]:
        if conv is None or conv.op_type != "Conv" or len(conv.input) < 3:
            continue
        name, unit = conv.input[2], np.ones((), np.float32)
        if name in makers and makers[name].op_type == "DequantizeLinear":
            name, scale = makers[name].input[:2]
            unit = numpy_helper.to_array(values[scale])
        if name in values:
            modes = [attributes(node).get("mode", b"DCR").decode() for node in passed if node.op_type == "DepthToSpace"]
            return values[name], unit, "".join(modes)
    return None
