"""What the passes need to know of convolutions, and how they add one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from onnx import helper

from vae_export.rewrites.editor import Editor, attributes
from vae_export.rewrites.operators import ACTIVATIONS
from vae_runtime.arrays import Float32

# Axes of (N, C, H, W), and of (N, H, W, C).
CHANNELS_FIRST = (2, 3)
CHANNELS_LAST = (1, 2)
# The orders that lead from one to the other.
TO_CHANNELS_LAST = [0, 2, 3, 1]
TO_CHANNELS_FIRST = [0, 3, 1, 2]


@dataclass(frozen=True)
class Upsampling:
    """A transposed convolution of stride 2: of h rows it makes 2h + surplus, and columns alike.

    weight (in, out, kh, kw), bias (out,), and the pads before the first row and column. It is
    computed in blocks of 2 × 2 pixels: `more` blocks than input pixels, of whose pixels `excess`
    are cut off at the end.
    """

    node: onnx.NodeProto
    weight: Float32
    bias: Float32
    lead: tuple[int, int]
    surplus: tuple[int, int]

    @property
    def doubles(self) -> bool:
        """Whether height and width are exactly twice the input's."""
        return self.surplus == (0, 0)

    @property
    def more(self) -> tuple[int, int]:
        rows, columns = self.surplus
        return max(0, (rows + 1) // 2), max(0, (columns + 1) // 2)

    @property
    def excess(self) -> tuple[int, int]:
        return 2 * self.more[0] - self.surplus[0], 2 * self.more[1] - self.surplus[1]


@dataclass(frozen=True)
class Taps:
    """One dimension of a convolution's window: its size, the pads on either side, the stride."""

    size: int = 1
    before: int = 0
    after: int = 0
    stride: int = 1

    def reaching(self, more: int) -> Taps:
        """The same window, computed at so many more positions behind the last."""
        return replace(self, after=self.after + more)


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
    # A phase that no row of a small kernel belongs to has none, and reads its own row for nothing.
    reached = list(offsets)
    low = min([0, *reached])
    high = max([stride - 1, *reached])
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
    """A ConvTranspose as an `Upsampling`; None where it isn't one whose numbers are known."""
    weight = weight_of(editor, node)
    if weight is None:
        return None
    bias = bias_of(editor, node, channels=weight.shape[1])
    if bias is None:
        return None
    if not is_plain(node, stride=2):
        return None
    top, left, bottom, right = pads_of(node)
    more_rows, more_columns = attributes(node).get("output_padding", [0, 0])
    height, width = weight.shape[2:]
    # Of h rows: 2 (h - 1) + kernel + extra - pads.
    surplus = (height + more_rows - top - bottom - 2, width + more_columns - left - right - 2)
    return Upsampling(node, weight, bias, (top, left), surplus)


def add_crop(
    editor: Editor,
    source: str,
    excess: tuple[int, int],
    axes: tuple[int, int],
    output: str | None = None,
) -> str:
    """Cut `excess` rows and columns off at the end; returns the name of the result.

    Without any to cut off that is `source` itself.
    """
    cut = [(axis, count) for axis, count in zip(axes, excess, strict=True) if count]
    if not cut:
        return source
    starts = editor.add_constant(np.zeros(len(cut), np.int64))
    ends = editor.add_constant(np.array([-count for _, count in cut]))
    where = editor.add_constant(np.array([axis for axis, _ in cut]))
    return editor.add("Slice", [source, starts, ends, where], output)


def add_pixels(editor: Editor, image: str, count: int, channels: int) -> str:
    """Bring (N, C, H, W) to its pixels (N, H · W, C), `count` of them."""
    channels_last = editor.add("Transpose", [image], perm=TO_CHANNELS_LAST)
    shape = editor.add_constant(np.array([0, count, channels]))
    return editor.add("Reshape", [channels_last, shape])


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


def silu_of(editor: Editor, node: onnx.NodeProto) -> tuple[onnx.NodeProto, onnx.NodeProto] | None:
    """The Sigmoid and the Mul of x · sigmoid(x) that alone take the node's result x, if any do."""
    takers = editor.consumers(node.output[0])
    sigmoids = [taker for taker in takers if taker.op_type == "Sigmoid"]
    if len(takers) != 2 or len(sigmoids) != 1:
        return None
    product = editor.sole_consumer(sigmoids[0].output[0])
    if product is None or product.op_type != "Mul" or node.output[0] not in product.input:
        return None
    return sigmoids[0], product


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


def opposite_pads(node: onnx.NodeProto, weight: Float32) -> list[int]:
    """A Conv of stride 1 with pads p is a ConvTranspose with pads k - 1 - p, and vice versa: those
    of the other. Where one is below zero there is no such layer.
    """
    height, width = weight.shape[2:]
    return [size - 1 - pad for size, pad in zip([height, width] * 2, pads_of(node), strict=True)]


def flipped(weight: Float32) -> Float32:
    """The weight of that other layer: the kernel turned around, in and out exchanged."""
    return weight[:, :, ::-1, ::-1].transpose(1, 0, 2, 3)


def output_sides(editor: Editor, node: onnx.NodeProto, weight: Float32) -> tuple[int, int]:
    """Height and width of what a Conv of stride 1 makes of an image whose sides are known."""
    height, width = editor.shapes[node.input[0]][2:]
    top, left, bottom, right = pads_of(node)
    kernel_height, kernel_width = weight.shape[2:]
    return height + top + bottom - kernel_height + 1, width + left + right - kernel_width + 1


def set_pads(node: onnx.NodeProto, pads: list[int]) -> None:
    """Replace the pads: top, left, bottom, right."""
    others = [attribute for attribute in node.attribute if attribute.name != "pads"]
    node.ClearField("attribute")
    node.attribute.extend(others)
    node.attribute.append(helper.make_attribute("pads", pads))


def _is_auto_padded(settings: Mapping[str, Any]) -> bool:
    return bool(settings.get("auto_pad", b"NOTSET") != b"NOTSET")
