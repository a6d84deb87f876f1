"""Stride-2 transposed convolutions as four ordinary ones, and what rewrites.last needs of them.

Output row Y = 2i + a of a transposed convolution with kernel k and leading pad p is the sum over kernel rows
κ with κ ≡ a + p (mod 2) of w[κ] · x[i + (a + p - κ) / 2]. So each phase a ∈ {0, 1} is an ordinary convolution of x; in
two dimensions there are four phases (a, b), and the output is their pixel shuffle.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from vae_export.rewrites.editor import Editor, attributes

Array = NDArray[np.float32]
ELEMENTWISE = {"Relu", "LeakyRelu", "Elu", "Sigmoid", "Tanh", "Softplus", "Selu"}
KERNELS = (2, 3, 4, 5)


@dataclass(frozen=True)
class Upsampling:
    """A transposed convolution that doubles height and width: weight (in, out, kh, kw), bias (out,), leading pads."""

    node: onnx.NodeProto
    weight: Array
    bias: Array
    lead: tuple[int, int]


def split_phases(editor: Editor) -> bool:
    """ConvTranspose = the pixel shuffle of four Conv, each with its own activation so that it fuses."""
    for node in editor.of_type("ConvTranspose"):
        up = upsampling_of(editor, node)
        if up is None:
            continue
        activation = activation_of(editor, node)
        phases = [phase(editor, up, a, b, activation) for a in (0, 1) for b in (0, 1)]
        last = activation or node
        editor.remove(node, *([activation] if activation else []))
        _interleave(editor, phases, up.weight.shape[1], editor.shapes.get(node.input[0], []), last.output[0])
        return True
    return False


def _interleave(editor: Editor, phases: list[str], channels: int, shape: list[int], output: str) -> None:
    """The pixel shuffle of four phases (N, C, H, W) to (N, C, 2H, 2W).

    Channels last it copies whole pixels, in a third of the time of DepthToSpace, which copies single numbers.
    """
    if len(shape) != 4 or not all(shape[1:]):
        stacked = editor.add("Concat", phases, axis=1)
        editor.add("DepthToSpace", [stacked], output, blocksize=2, mode="DCR")
        return
    height, width = shape[2:]
    pixel = editor.add_constant(np.array([0, height, 1, width, 1, channels]))
    pixels = [editor.add("Reshape", [editor.add("Transpose", [p], perm=[0, 2, 3, 1]), pixel]) for p in phases]
    rows = [editor.add("Concat", pixels[i : i + 2], axis=4) for i in (0, 2)]
    image = editor.add_constant(np.array([0, 2 * height, 2 * width, channels]))
    whole = editor.add("Reshape", [editor.add("Concat", rows, axis=2), image])
    editor.add("Transpose", [whole], output, perm=[0, 3, 1, 2])


def upsampling_of(editor: Editor, node: onnx.NodeProto) -> Upsampling | None:
    settings = attributes(node)
    weight = editor.constant(node.input[1])
    if (
        weight is None
        or weight.ndim != 4
        or weight.dtype != np.float32
        or (bias := bias_of(editor, node, weight.shape[1])) is None
    ):
        return None
    kernel = weight.shape[2:]
    pads, extra = settings.get("pads", [0, 0, 0, 0]), settings.get("output_padding", [0, 0])
    # 2 (h - 1) + k + extra - pads = 2 h: the output is exactly twice the input.
    doubles = all(kernel[i] + extra[i] - pads[i] - pads[i + 2] == 2 for i in (0, 1))
    if not (is_plain(settings, stride=2) and doubles and set(kernel) <= set(KERNELS)):
        return None
    return Upsampling(node, weight, bias, (pads[0], pads[1]))


def is_plain(settings: Mapping[str, Any], stride: int) -> bool:
    """No dilation, groups, automatic pads or given output shape, and this stride in both directions."""
    return (
        list(settings.get("strides", [1, 1])) == [stride, stride]
        and list(settings.get("dilations", [1, 1])) == [1, 1]
        and settings.get("group", 1) == 1
        and settings.get("auto_pad", b"NOTSET") == b"NOTSET"
        and "output_shape" not in settings
    )


def bias_of(editor: Editor, node: onnx.NodeProto, channels: int) -> Array | None:
    """The bias (channels,), zeros where the node has none; None when it isn't a constant."""
    if len(node.input) < 3 or not node.input[2]:
        return np.zeros(channels, np.float32)
    bias = editor.constant(node.input[2])
    return None if bias is None else bias.astype(np.float32)


def activation_of(editor: Editor, node: onnx.NodeProto) -> onnx.NodeProto | None:
    taker = editor.sole_consumer(node.output[0])
    return taker if taker is not None and taker.op_type in ELEMENTWISE else None


def phase(editor: Editor, up: Upsampling, a: int, b: int, activation: onnx.NodeProto | None) -> str:
    """Output rows 2i + a and columns 2j + b of a transposed convolution, as an ordinary convolution."""
    (rows, row_reads), (columns, column_reads) = (
        _reads(up.weight.shape[2 + i], number, up.lead[i]) for i, number in ((0, a), (1, b))
    )
    weight = np.zeros((up.weight.shape[1], up.weight.shape[0], rows.size, columns.size), np.float32)
    for ky, y in row_reads:
        for kx, x in column_reads:
            weight[:, :, y, x] = up.weight[:, :, ky, kx].T
    output = conv(editor, up.node.input[0], weight, up.bias, rows, columns)
    return output if activation is None else editor.add_like(activation, output)


@dataclass(frozen=True)
class Taps:
    """One dimension of a convolution's window: how many taps, the pads on either side, the stride."""

    size: int = 1
    before: int = 0
    after: int = 0
    stride: int = 1


def _reads(kernel: int, number: int, lead: int) -> tuple[Taps, list[tuple[int, int]]]:
    """How output rows of the phase of this number read the input: the window, and (κ, tap) of the kernel's rows."""
    offsets = {k: (number + lead - k) // 2 for k in range(kernel) if (number + lead - k) % 2 == 0}
    low, high = min([0, *offsets.values()]), max([0, *offsets.values()])
    return Taps(high - low + 1, -low, high), [(k, offset - low) for k, offset in offsets.items()]


def conv(editor: Editor, source: str, weight: Array, bias: Array | None, rows: Taps, columns: Taps) -> str:
    inputs = [source, editor.add_constant(weight)]
    if bias is not None:
        inputs.append(editor.add_constant(bias.astype(np.float32)))
    return editor.add(
        "Conv",
        inputs,
        pads=[rows.before, columns.before, rows.after, columns.after],
        kernel_shape=list(weight.shape[2:]),
        strides=[rows.stride, columns.stride],
    )
