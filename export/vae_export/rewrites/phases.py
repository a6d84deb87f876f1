"""Stride-2 transposed convolutions as four ordinary ones, and a last convolution that works below the pixel shuffle.

Both use: output row Y = 2i + a of a transposed convolution with kernel k and leading pad p is the sum over kernel rows
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
WIDEST = 4  # output channels of a last convolution that is worth separating
BLOCK = 8  # channels of onnxruntime's blocked layout: AVX2 and NEON; AVX-512 takes 16
BLOCK_SIDE = 4  # pixels of the block that one position of a blocked last convolution computes


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
        up = _upsampling(editor, node)
        if up is None:
            continue
        activation = _activation(editor, node)
        phases = [_phase(editor, up, a, b, activation) for a in (0, 1) for b in (0, 1)]
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


def separate_last_convolution(editor: Editor) -> bool:
    """Conv(act(ConvTranspose(x))), with few output channels, without ever interleaving the phases.

    Row Y = 2i + a of a convolution with kernel k and leading pad t takes the upsampled rows 2i + a + κ - t, which are
    row i + s of phase p where a + κ - t = 2s + p. Hence two steps: vertically, a short convolution of each phase (p, q)
    to channels (a, κx, o), the two p summed; horizontally, the same with one-hot weights to channels (a, b, o), the two
    q summed; then one DepthToSpace of 4·o channels. The channels between the steps are padded to full blocks.
    """
    for node in editor.of_type("ConvTranspose"):
        up = _upsampling(editor, node)
        activation = _activation(editor, node)
        conv = editor.sole_consumer((activation or node).output[0])
        last = None if conv is None else _same_convolution(editor, conv)
        if up is None or conv is None or last is None:
            continue
        weight, bias, lead = last
        columns = []
        for q in (0, 1):
            phases = [_phase(editor, up, p, q, activation) for p in (0, 1)]
            parts = [_vertical(editor, phases[p], weight, lead[0], p) for p in (0, 1)]
            columns.append(editor.add("Add", parts))
        parts = [_horizontal(editor, columns[q], weight, bias if q == 0 else None, lead[1], q) for q in (0, 1)]
        mixed = editor.add("Add", parts)
        editor.remove(node, conv, *([activation] if activation else []))
        editor.add("DepthToSpace", [mixed], conv.output[0], blocksize=2, mode="DCR")
        return True
    return False


def block_last_convolution(editor: Editor) -> bool:
    """Conv(act(ConvTranspose(x))), with few output channels, as one Conv of the four phases and a pixel shuffle by 4.

    For int8, where a small convolution costs more to call than to compute. Row Y = 4i + a of a convolution with kernel
    k and leading pad t takes row 2i + s of phase p where a + κ - t = 2s + p. So a convolution with stride 2 of the
    phases, stacked to channels (p, q, c), gives channels (a, b, o): whole blocks of 4×4 pixels. The phases must have
    even sides.
    """
    for node in editor.of_type("ConvTranspose"):
        up = _upsampling(editor, node)
        activation = _activation(editor, node)
        conv = editor.sole_consumer((activation or node).output[0])
        last = None if conv is None else _same_convolution(editor, conv)
        sides = editor.shapes.get(node.input[0], [])[2:]
        if up is None or conv is None or last is None or not all(side and side % 2 == 0 for side in sides):
            continue
        phases = [_phase(editor, up, p, q, activation) for p in (0, 1) for q in (0, 1)]
        blocks = _blocks(editor, editor.add("Concat", phases, axis=1), *last)
        editor.remove(node, conv, *([activation] if activation else []))
        editor.add("DepthToSpace", [blocks], conv.output[0], blocksize=BLOCK_SIDE, mode="DCR")
        return True
    return False


def _upsampling(editor: Editor, node: onnx.NodeProto) -> Upsampling | None:
    settings = attributes(node)
    weight = editor.constant(node.input[1])
    if (
        weight is None
        or weight.ndim != 4
        or weight.dtype != np.float32
        or (bias := _bias(editor, node, weight.shape[1])) is None
    ):
        return None
    kernel = weight.shape[2:]
    pads, extra = settings.get("pads", [0, 0, 0, 0]), settings.get("output_padding", [0, 0])
    # 2 (h - 1) + k + extra - pads = 2 h: the output is exactly twice the input.
    doubles = all(kernel[i] + extra[i] - pads[i] - pads[i + 2] == 2 for i in (0, 1))
    if not (_is_plain(settings, stride=2) and doubles and set(kernel) <= set(KERNELS)):
        return None
    return Upsampling(node, weight, bias, (pads[0], pads[1]))


def _same_convolution(editor: Editor, node: onnx.NodeProto) -> tuple[Array, Array, tuple[int, int]] | None:
    """Weight, bias and leading pads of a stride-1 convolution that keeps the size and has few output channels."""
    settings = attributes(node)
    weight = editor.constant(node.input[1]) if node.op_type == "Conv" else None
    if weight is None or weight.ndim != 4 or weight.dtype != np.float32 or weight.shape[0] > WIDEST:
        return None
    bias = _bias(editor, node, weight.shape[0])
    pads = settings.get("pads", [0, 0, 0, 0])
    keeps = all(pads[i] + pads[i + 2] == weight.shape[2 + i] - 1 for i in (0, 1))
    if bias is None or not (keeps and _is_plain(settings, stride=1)):
        return None
    return weight, bias, (pads[0], pads[1])


def _is_plain(settings: Mapping[str, Any], stride: int) -> bool:
    """No dilation, groups, automatic pads or given output shape, and this stride in both directions."""
    return (
        list(settings.get("strides", [1, 1])) == [stride, stride]
        and list(settings.get("dilations", [1, 1])) == [1, 1]
        and settings.get("group", 1) == 1
        and settings.get("auto_pad", b"NOTSET") == b"NOTSET"
        and "output_shape" not in settings
    )


def _bias(editor: Editor, node: onnx.NodeProto, channels: int) -> Array | None:
    """The bias (channels,), zeros where the node has none; None when it isn't a constant."""
    if len(node.input) < 3 or not node.input[2]:
        return np.zeros(channels, np.float32)
    bias = editor.constant(node.input[2])
    return None if bias is None else bias.astype(np.float32)


def _activation(editor: Editor, node: onnx.NodeProto) -> onnx.NodeProto | None:
    taker = editor.sole_consumer(node.output[0])
    return taker if taker is not None and taker.op_type in ELEMENTWISE else None


def _phase(editor: Editor, up: Upsampling, a: int, b: int, activation: onnx.NodeProto | None) -> str:
    """Output rows 2i + a and columns 2j + b of a transposed convolution, as an ordinary convolution."""
    rows, columns = (_taps(up.weight.shape[2 + i], phase, up.lead[i]) for i, phase in ((0, a), (1, b)))
    weight = np.zeros((up.weight.shape[1], up.weight.shape[0], rows.size, columns.size), np.float32)
    for ky, y in rows.places:
        for kx, x in columns.places:
            weight[:, :, y, x] = up.weight[:, :, ky, kx].T
    output = _conv(editor, up.node.input[0], weight, up.bias, rows, columns)
    return output if activation is None else editor.add_like(activation, output)


@dataclass(frozen=True)
class Taps:
    """A one-dimensional convolution: `size` taps, `places` (source, tap), and the pads that keep the length."""

    size: int
    places: tuple[tuple[int, int], ...]
    before: int
    after: int


ONE_TAP = Taps(1, (), 0, 0)


def _span(offsets: dict[int, int]) -> Taps:
    """Taps for {source: offset}: output i reads input i + offset."""
    low, high = min(0, *offsets.values()), max(0, *offsets.values())
    return Taps(high - low + 1, tuple((k, s - low) for k, s in offsets.items()), -low, high)


def _taps(kernel: int, phase: int, lead: int) -> Taps:
    offsets = {k: (phase + lead - k) // 2 for k in range(kernel) if (phase + lead - k) % 2 == 0}
    return _span(offsets) if offsets else ONE_TAP


def _shuffled(kernel: int, lead: int, phase: int) -> tuple[Taps, list[tuple[int, int, int]]]:
    """How a convolution of upsampled rows reads the rows of one phase: its taps, and (output phase, κ, tap) of each."""
    offsets = {(a, k): a + k - lead - phase for a in (0, 1) for k in range(kernel)}
    reads = {place: offset // 2 for place, offset in offsets.items() if offset % 2 == 0}
    if not reads:
        return ONE_TAP, []
    taps = _span(dict(enumerate(reads.values())))
    return taps, [(a, k, tap) for (a, k), (_, tap) in zip(reads, taps.places, strict=True)]


def _vertical(editor: Editor, source: str, weight: Array, lead: int, p: int) -> str:
    """Phase rows p to channels (a, κx, o): the vertical half of the last convolution."""
    out, channels, height, width = weight.shape
    taps, reads = _shuffled(height, lead, p)
    kernel = np.zeros((_padded(2 * width * out), channels, taps.size, 1), np.float32)
    for a, k, tap in reads:
        for kx in range(width):
            first = (a * width + kx) * out
            kernel[first : first + out, :, tap, 0] += weight[:, :, k, kx]
    return _conv(editor, source, kernel, None, taps, ONE_TAP)


def _horizontal(editor: Editor, source: str, weight: Array, bias: Array | None, lead: int, q: int) -> str:
    """Channels (a, κx, o) of phase columns q to channels (a, b, o): one-hot weights."""
    out, _, _, width = weight.shape
    taps, reads = _shuffled(width, lead, q)
    kernel = np.zeros((4 * out, _padded(2 * width * out), 1, taps.size), np.float32)
    for b, k, tap in reads:
        for a in (0, 1):
            for o in range(out):
                kernel[(2 * a + b) * out + o, (a * width + k) * out + o, 0, tap] = 1
    return _conv(editor, source, kernel, None if bias is None else np.tile(bias, 4), ONE_TAP, taps)


def _blocks(editor: Editor, phases: str, weight: Array, bias: Array, lead: tuple[int, int]) -> str:
    """Phases stacked to channels (p, q, c), at stride 2, to channels (a, b, o)."""
    out, channels, height, width = weight.shape
    (rows, row_reads), (columns, column_reads) = (
        _blocked(size, t) for size, t in ((height, lead[0]), (width, lead[1]))
    )
    blocks = np.zeros((BLOCK_SIDE, BLOCK_SIDE, out, 2, 2, channels, rows.size, columns.size), np.float32)
    for a, ky, p, y in row_reads:
        for b, kx, q, x in column_reads:
            blocks[a, b, :, p, q, :, y, x] = weight[:, :, ky, kx]
    kernel: Array = blocks.reshape(BLOCK_SIDE**2 * out, 4 * channels, rows.size, columns.size)
    return _conv(editor, phases, kernel, np.tile(bias, BLOCK_SIDE**2), rows, columns, stride=2)


def _blocked(kernel: int, lead: int) -> tuple[Taps, list[tuple[int, int, int, int]]]:
    """How four output rows at once read the rows of both phases: the taps, and (output row, κ, phase, tap) of each."""
    offsets = {(a, k): a + k - lead for a in range(BLOCK_SIDE) for k in range(kernel)}
    low = min(0, *(offset // 2 for offset in offsets.values()))
    high = max(1, *(offset // 2 for offset in offsets.values()))
    reads = [(a, k, offset % 2, offset // 2 - low) for (a, k), offset in offsets.items()]
    return Taps(high - low + 1, (), -low, high - 1), reads


def _padded(channels: int) -> int:
    return -(-channels // BLOCK) * BLOCK


def _conv(
    editor: Editor, source: str, weight: Array, bias: Array | None, rows: Taps, columns: Taps, stride: int = 1
) -> str:
    inputs = [source, editor.add_constant(weight)]
    if bias is not None:
        inputs.append(editor.add_constant(bias.astype(np.float32)))
    pads = [rows.before, columns.before, rows.after, columns.after]
    return editor.add("Conv", inputs, pads=pads, kernel_shape=list(weight.shape[2:]), strides=[stride, stride])
