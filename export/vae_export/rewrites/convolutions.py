"""What the passes need to know of convolutions, and how they add one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper

from vae_export.rewrites.editor import Editor, attributes
from vae_export.rewrites.operators import ACTIVATIONS
from vae_runtime.arrays import Float32

# Of transposed convolutions that are split into phases; of larger ones the phases are no faster.
UPSAMPLING_KERNELS = {2, 3, 4, 5}


@dataclass(frozen=True)
class Upsampling:
    """A transposed convolution that doubles height and width.

    weight (in, out, kh, kw), bias (out,), and the pads before the first row and column.
    """

    node: onnx.NodeProto
    weight: Float32
    bias: Float32
    lead: tuple[int, int]


@dataclass(frozen=True)
class Taps:
    """One dimension of a convolution's window: its size, the pads on either side, the stride."""

    size: int = 1
    before: int = 0
    after: int = 0
    stride: int = 1


@dataclass(frozen=True)
class Read:
    """One term of a convolution in one dimension: a kernel row that weights a row of a phase.

    `output` is the row within the block that is computed at once, `kernel` the row of the kernel,
    `phase` the phase that is read, `tap` the row of the window on it. The same for columns.
    """

    output: int
    kernel: int
    phase: int
    tap: int


def window(offsets: Iterable[int], stride: int = 1) -> Taps:
    """The smallest window that reaches all `offsets` and computes one output per `stride` inputs.

    Offsets count from the first row of the block that an output stands for; before the first row
    and behind the last one the window reads padding.
    """
    low = min(0, *offsets)
    high = max(stride - 1, *offsets)
    return Taps(high - low + 1, before=-low, after=high - stride + 1, stride=stride)


def add_conv(
    editor: Editor,
    source: str,
    weight: Float32,
    bias: Float32 | None,
    rows: Taps,
    columns: Taps,
    output: str | None = None,
) -> str:
    """Add a convolution with constant weight and bias; returns the name of its output."""
    inputs = [source, editor.add_constant(weight)]
    if bias is not None:
        inputs.append(editor.add_constant(bias.astype(np.float32)))
    return editor.add(
        "Conv",
        inputs,
        output,
        pads=[rows.before, columns.before, rows.after, columns.after],
        kernel_shape=list(weight.shape[2:]),
        strides=[rows.stride, columns.stride],
    )


def upsampling_of(editor: Editor, node: onnx.NodeProto) -> Upsampling | None:
    """A ConvTranspose as an `Upsampling`; None where it isn't one."""
    weight = weight_of(editor, node)
    if weight is None:
        return None
    bias = bias_of(editor, node, channels=weight.shape[1])
    if bias is None:
        return None
    if not is_plain(node, stride=2):
        return None
    if not UPSAMPLING_KERNELS.issuperset(weight.shape[2:]):
        return None
    pads = pads_of(node)
    extra = attributes(node).get("output_padding", [0, 0])
    for i, kernel in enumerate(weight.shape[2:]):
        # 2 (h - 1) + kernel + extra - pads = 2 h: the output is exactly twice the input.
        if kernel + extra[i] - pads[i] - pads[i + 2] != 2:
            return None
    return Upsampling(node, weight, bias, (pads[0], pads[1]))


def weight_of(editor: Editor, node: onnx.NodeProto) -> Float32 | None:
    """The constant weight (·, ·, kh, kw) of a two-dimensional convolution in float32, else None."""
    weight = editor.constant(node.input[1])
    if weight is None or weight.ndim != 4 or weight.dtype != np.float32:
        return None
    return weight


def bias_of(editor: Editor, node: onnx.NodeProto, channels: int) -> Float32 | None:
    """The bias (channels,), zeros where the node has none; None when it isn't a constant."""
    if len(node.input) < 3 or not node.input[2]:
        return np.zeros(channels, np.float32)
    bias = editor.constant(node.input[2])
    return None if bias is None else bias.astype(np.float32)


def activation_of(editor: Editor, node: onnx.NodeProto) -> onnx.NodeProto | None:
    """The activation that alone takes the node's result, if there is one."""
    taker = editor.sole_consumer(node.output[0])
    if taker is None or taker.op_type not in ACTIVATIONS:
        return None
    return taker


def is_plain(node: onnx.NodeProto, stride: int) -> bool:
    """Whether a convolution has this stride in both directions and nothing unusual.

    No dilation, no groups, no automatic pads, no given output shape.
    """
    settings = attributes(node)
    return (
        list(settings.get("strides", [1, 1])) == [stride, stride]
        and list(settings.get("dilations", [1, 1])) == [1, 1]
        and settings.get("group", 1) == 1
        and not _is_auto_padded(settings)
        and "output_shape" not in settings
    )


def has_own_pads(node: onnx.NodeProto) -> bool:
    """Whether the convolution's `pads` say how it is padded."""
    settings = attributes(node)
    return not _is_auto_padded(settings) and "output_shape" not in settings


def pads_of(node: onnx.NodeProto) -> list[int]:
    """Pads of a two-dimensional convolution: top, left, bottom, right."""
    return list(attributes(node).get("pads", [0, 0, 0, 0]))


def set_pads(node: onnx.NodeProto, pads: list[int]) -> None:
    """Replace the pads: top, left, bottom, right."""
    others = [attribute for attribute in node.attribute if attribute.name != "pads"]
    node.ClearField("attribute")
    node.attribute.extend(others)
    node.attribute.append(helper.make_attribute("pads", pads))


def _is_auto_padded(settings: Mapping[str, Any]) -> bool:
    return bool(settings.get("auto_pad", b"NOTSET") != b"NOTSET")
