"""Bias correction for int8 decoders: their images become as bright as those of the fp32 graph.

Rounding weights and clipping activations shifts every logit by about the same amount, which costs
more ELBO than the scatter around it (Nagel et al. 2019, "Data-free quantization through weight
equalization and bias correction", section 4.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from vae_export import ort
from vae_export.rewrites.editor import attributes
from vae_export.rewrites.operators import BETWEEN_LOGITS_AND_IMAGE
from vae_runtime.arrays import Float32

# A channel that is all black or all white has a sigmoid without slope.
MIN_SLOPE = 1e-6


@dataclass(frozen=True)
class LogitBias:
    """The bias of the convolution that makes the logits.

    `scale` is what one unit of the stored numbers is worth, 1 where they are floats. `shuffle` is
    the mode of the pixel shuffle between the logits and the image, empty where there is none.
    """

    tensor: onnx.TensorProto
    scale: Float32
    shuffle: str


@dataclass(frozen=True)
class Path:
    """The nodes passed from a value back to the first one that does more than move or bend it."""

    passed: list[onnx.NodeProto]
    end: onnx.NodeProto | None


def correct_bias(int8_bytes: bytes, z: Float32, images: Float32) -> bytes:
    """Move the bias of a decoder's last convolution until each channel is as bright as in `images`.

    `images` (N, C, H, W) are what the fp32 graph makes of `z` (N, latent_dim); the means over all
    of them agree afterwards. One Newton step: the mean of a channel grows by mean(p (1 - p)) per
    unit of its bias. A decoder that doesn't end in a convolution and a sigmoid stays as it is.
    """
    model = onnx.load_from_string(int8_bytes)
    bias = _find_logit_bias(model.graph)
    if bias is None:
        return int8_bytes
    (decoded,) = ort.run(int8_bytes, z)
    pixels = (0, 2, 3)
    slope = np.maximum((decoded * (1 - decoded)).mean(pixels), MIN_SLOPE)
    shift = (images.mean(pixels) - decoded.mean(pixels)) / slope
    stored = numpy_helper.to_array(bias.tensor)
    moved: NDArray[Any] = stored + _per_logit(shift, len(stored), bias.shuffle) / bias.scale
    if stored.dtype == np.int32:
        moved = np.round(moved)
    bias.tensor.CopyFrom(numpy_helper.from_array(moved.astype(stored.dtype), bias.tensor.name))
    return bytes(model.SerializeToString())


def _per_logit(shift: Float32, logits: int, shuffle: str) -> Float32:
    """One number per channel of the image -> one per channel of the logits.

    A pixel shuffle's channels are (a, b, channel) in mode DCR, torch's (channel, a, b) in mode CRD.
    """
    times = logits // len(shift)
    if shuffle == "CRD":
        return np.repeat(shift, times)
    return np.tile(shift, times)


def _find_logit_bias(graph: onnx.GraphProto) -> LogitBias | None:
    makers = {name: node for node in graph.node for name in node.output}
    to_logits = _path_back(makers, graph.output[0].name)
    sigmoids = [node for node in to_logits.passed if node.op_type == "Sigmoid"]
    if len(sigmoids) != 1 or to_logits.end is None:
        return None
    paths = [to_logits]
    if to_logits.end.op_type == "Add":
        # The sum of two convolutions: moving the bias of one of them is enough.
        paths = []
        for name in to_logits.end.input:
            branch = _path_back(makers, name)
            paths.append(Path(to_logits.passed + branch.passed, branch.end))
    for path in paths:
        bias = _bias_at_end(graph, makers, path)
        if bias is not None:
            return bias
    return None


def _path_back(makers: dict[str, onnx.NodeProto], name: str) -> Path:
    passed = []
    node = makers.get(name)
    while node is not None and node.op_type in BETWEEN_LOGITS_AND_IMAGE:
        passed.append(node)
        node = makers.get(node.input[0])
    return Path(passed, node)


def _bias_at_end(
    graph: onnx.GraphProto, makers: dict[str, onnx.NodeProto], path: Path
) -> LogitBias | None:
    """The constant bias of the convolution where `path` ends; None where there is none."""
    conv = path.end
    if conv is None or conv.op_type != "Conv" or len(conv.input) < 3:
        return None
    constants = {tensor.name: tensor for tensor in graph.initializer}
    name = conv.input[2]
    scale = np.ones((), np.float32)
    maker = makers.get(name)
    if maker is not None and maker.op_type == "DequantizeLinear":
        # The bias is stored as whole numbers of this size.
        name = maker.input[0]
        scale = numpy_helper.to_array(constants[maker.input[1]])
    if name not in constants:
        return None
    return LogitBias(constants[name], scale, _shuffle_mode(path.passed))


def _shuffle_mode(nodes: list[onnx.NodeProto]) -> str:
    for node in nodes:
        if node.op_type == "DepthToSpace":
            mode: bytes = attributes(node).get("mode", b"DCR")
            return mode.decode()
    return ""
