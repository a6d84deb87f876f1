"""A last convolution that works below the pixel shuffle of the transposed convolution before it.

Row Y = side · i + a of a convolution with kernel k and leading pad t takes the upsampled rows Y + κ - t. They are rows
(side / 2) · i + s of phase p (rewrites.phases) where a + κ - t = 2s + p. So a convolution of the phases with stride
side / 2 computes whole blocks of side × side pixels, as channels that one DepthToSpace lays out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from vae_export.rewrites.editor import Editor, attributes
from vae_export.rewrites.phases import Taps, Upsampling, activation_of, bias_of, conv, is_plain, phase, upsampling_of

Array = NDArray[np.float32]
WIDEST = 4  # output channels of a last convolution that is worth rewriting
BLOCK = 8  # channels of onnxruntime's blocked layout: AVX2; AVX-512 takes 16


@dataclass(frozen=True)
class LastConvolution:
    """Conv(act(ConvTranspose(x))) that keeps the size, its weight (out, in, kh, kw), bias (out,) and leading pads."""

    node: onnx.NodeProto
    up: Upsampling
    activation: onnx.NodeProto | None
    weight: Array
    bias: Array
    lead: tuple[int, int]
    even: bool  # the phases have even sides

    def phase(self, editor: Editor, p: int, q: int) -> str:
        return phase(editor, self.up, p, q, self.activation)

    def replace(self, editor: Editor, blocks: str, side: int) -> None:
        """Take the place of the layers with the pixel shuffle of `blocks`, channels (a, b, o)."""
        editor.remove(self.up.node, self.node, *([self.activation] if self.activation else []))
        editor.add("DepthToSpace", [blocks], self.node.output[0], blocksize=side, mode="DCR")


def separate_last_convolution(editor: Editor) -> bool:
    """The last convolution in two steps, without ever interleaving the phases.

    Vertically, a short convolution of each phase (p, q) to channels (a, κx, o), the two p summed; horizontally, one
    with one-hot weights to channels (a, b, o), the two q summed. Blocks have four pixels a side where the phases' sides
    are even, two elsewhere: more of them fill onnxruntime's blocked channels better. The channels between the steps are
    padded to whole ones.
    """
    for last in _last_convolutions(editor):
        side = 4 if last.even else 2
        columns = []
        for q in (0, 1):
            columns.append(editor.add("Add", [_vertical(editor, last, p, q, side) for p in (0, 1)]))
        last.replace(editor, editor.add("Add", [_horizontal(editor, last, columns[q], q, side) for q in (0, 1)]), side)
        return True
    return False


def block_last_convolution(editor: Editor) -> bool:
    """The last convolution as one convolution of the four phases, for int8, where small ones cost more to call.

    From phases stacked to channels (p, q, c) to blocks of 4 × 4 pixels, channels (a, b, o). The phases must have even
    sides.
    """
    side = 4
    for last in _last_convolutions(editor):
        if not last.even:
            continue
        phases = editor.add("Concat", [last.phase(editor, p, q) for p in (0, 1) for q in (0, 1)], axis=1)
        out, channels, height, width = last.weight.shape
        rows, row_reads = _reads(height, last.lead[0], side)
        columns, column_reads = _reads(width, last.lead[1], side)
        kernel = np.zeros((side, side, out, 2, 2, channels, rows.size, columns.size), np.float32)
        for a, ky, p, y in row_reads:
            for b, kx, q, x in column_reads:
                kernel[a, b, :, p, q, :, y, x] = last.weight[:, :, ky, kx]
        weight = kernel.reshape(side**2 * out, 4 * channels, rows.size, columns.size)
        last.replace(editor, conv(editor, phases, weight, np.tile(last.bias, side**2), rows, columns), side)
        return True
    return False


def _last_convolutions(editor: Editor) -> Iterator[LastConvolution]:
    for node in editor.of_type("ConvTranspose"):
        up, activation = upsampling_of(editor, node), activation_of(editor, node)
        taker = editor.sole_consumer((activation or node).output[0])
        if up is None or taker is None or taker.op_type != "Conv":
            continue
        settings, weight = attributes(taker), editor.constant(taker.input[1])
        if weight is None or weight.ndim != 4 or weight.dtype != np.float32 or weight.shape[0] > WIDEST:
            continue
        bias, pads = bias_of(editor, taker, weight.shape[0]), settings.get("pads", [0, 0, 0, 0])
        keeps = all(pads[i] + pads[i + 2] == weight.shape[2 + i] - 1 for i in (0, 1))
        if bias is not None and keeps and is_plain(settings, stride=1):
            sides = editor.shapes.get(node.input[0], [])[2:]
            even = len(sides) == 2 and all(side and side % 2 == 0 for side in sides)
            yield LastConvolution(taker, up, activation, weight, bias, (pads[0], pads[1]), even)


def _reads(
    kernel: int, lead: int, side: int, phases: tuple[int, ...] = (0, 1)
) -> tuple[Taps, list[tuple[int, int, int, int]]]:
    """How `side` output rows at once read the rows of these phases: the taps, and (a, κ, phase, tap) of each."""
    places = [(a, k, *divmod(a + k - lead, 2)) for a in range(side) for k in range(kernel)]
    reads = [(a, k, p, offset) for a, k, offset, p in places if p in phases]
    offsets, stride = [offset for *_, offset in reads], side // 2
    low, high = min(0, *offsets), max(stride - 1, *offsets)
    taps = Taps(high - low + 1, before=-low, after=high - stride + 1, stride=stride)
    return taps, [(a, k, p, offset - low) for a, k, p, offset in reads]


def _vertical(editor: Editor, last: LastConvolution, p: int, q: int, side: int) -> str:
    """Rows of phase (p, q) to channels (a, κx, o)."""
    out, channels, height, width = last.weight.shape
    taps, reads = _reads(height, last.lead[0], side, (p,))
    kernel = np.zeros((_padded(side * width * out), channels, taps.size, 1), np.float32)
    for a, ky, _, tap in reads:
        for kx in range(width):
            first = (a * width + kx) * out
            kernel[first : first + out, :, tap, 0] = last.weight[:, :, ky, kx]
    return conv(editor, last.phase(editor, p, q), kernel, None, taps, Taps())


def _horizontal(editor: Editor, last: LastConvolution, source: str, q: int, side: int) -> str:
    """Channels (a, κx, o) of phase columns q to channels (a, b, o): one-hot weights."""
    out, _, _, width = last.weight.shape
    taps, reads = _reads(width, last.lead[1], side, (q,))
    kernel = np.zeros((side**2 * out, _padded(side * width * out), 1, taps.size), np.float32)
    for b, kx, _, tap in reads:
        for a in range(side):
            for o in range(out):
                kernel[(a * side + b) * out + o, (a * width + kx) * out + o, 0, tap] = 1
    bias = np.tile(last.bias, side**2) if q == 0 else None
    return conv(editor, source, kernel, bias, Taps(), taps)


def _padded(channels: int) -> int:
    return -(-channels // BLOCK) * BLOCK
