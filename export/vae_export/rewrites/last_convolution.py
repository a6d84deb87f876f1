"""A last convolution that works below the pixel shuffle of the transposed convolution before it.

Row Y = side · i + a of a convolution with kernel k and leading pad t takes the upsampled rows
Y + κ - t. They are rows (side / 2) · i + s of phase p (see `phases`) where a + κ - t = 2s + p. So a
convolution of the phases with stride side / 2 computes whole blocks of side × side pixels, as
channels that one DepthToSpace lays out.

For an ordinary 3×3 convolution, k = 3 and t = 1, and blocks of side = 2, a + κ - 1 = 2s + p gives

    a = 0 (even rows)   κ = 0: -1, row -1 of phase 1    κ = 1: 0, row 0 of phase 0
                        κ = 2:  1, row  0 of phase 1
    a = 1 (odd rows)    κ = 0:  0, row  0 of phase 0    κ = 1: 1, row 0 of phase 1
                        κ = 2:  2, row  1 of phase 0

The rows read are s = -1 … 1, a window of three taps with one row of padding on either side; row s
is its tap s + 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import onnx

from vae_export.rewrites.convolutions import (
    Read,
    Taps,
    Upsampling,
    activation_of,
    add_conv,
    bias_of,
    is_plain,
    pads_of,
    silu_of,
    upsampling_of,
    weight_of,
    window,
)
from vae_export.rewrites.editor import Editor
from vae_export.rewrites.phases import PHASES, add_phase
from vae_runtime.arrays import Float32

# Of a last convolution that is worth rewriting: with more, onnxruntime's own is fast enough.
MAX_OUTPUT_CHANNELS = 4
# Channels of onnxruntime's blocked layout with AVX2; AVX-512 takes 16.
CHANNEL_BLOCK = 8
# Pixels in a side of the blocks. Larger blocks fill onnxruntime's blocked channels better, but
# need phases with even sides.
LARGE_BLOCK = 4
SMALL_BLOCK = 2


@dataclass(frozen=True)
class LastConvolution:
    """Conv(act(ConvTranspose(x))) that keeps the size.

    `activations` are none, one, or the Sigmoid and the Mul of a SiLU;
    weight (out, in, kh, kw), bias (out,), and the pads before the first row and column.
    """

    node: onnx.NodeProto
    up: Upsampling
    activations: tuple[onnx.NodeProto, ...]
    weight: Float32
    bias: Float32
    lead: tuple[int, int]
    phases_have_even_sides: bool

    def add_phase(self, editor: Editor, p: int, q: int) -> str:
        if len(self.activations) == 2:
            phase = add_phase(editor, self.up, p, q, None)
            return editor.add("Mul", [phase, editor.add("Sigmoid", [phase])])
        activation = self.activations[0] if self.activations else None
        return add_phase(editor, self.up, p, q, activation)

    def replace(self, editor: Editor, blocks: str, side: int) -> None:
        """Put the pixel shuffle of `blocks`, channels (a, b, out), in place of the layers."""
        editor.remove(self.up.node, self.node, *self.activations)
        editor.add("DepthToSpace", [blocks], self.node.output[0], blocksize=side, mode="DCR")


def separate_last_convolution(editor: Editor) -> bool:
    """The last convolution in two steps, without ever interleaving the phases.

    Vertically, a short convolution of each phase (p, q) to channels (a, κx, out), the two p summed;
    horizontally, one with one-hot weights to channels (a, b, out), the two q summed. The channels
    between the steps are padded to whole blocks of onnxruntime's.
    """
    return _separate(editor, next(_last_convolutions(editor), None))


def separate_behind_silu(editor: Editor) -> bool:
    """The same behind x · sigmoid(x), which every phase gets for itself.

    Not for int8, where nodes around a SiLU have bits of their own.
    """
    return _separate(editor, next(_last_convolutions(editor, behind_silu=True), None))


def _separate(editor: Editor, last: LastConvolution | None) -> bool:
    if last is None:
        return False
    side = LARGE_BLOCK if last.phases_have_even_sides else SMALL_BLOCK
    by_column_phase = []
    for q in (0, 1):
        by_row_phase = [_add_vertical(editor, last, p, q, side) for p in (0, 1)]
        by_column_phase.append(editor.add("Add", by_row_phase))
    parts = []
    for q in (0, 1):
        parts.append(_add_horizontal(editor, last, by_column_phase[q], q, side))
    last.replace(editor, editor.add("Add", parts), side)
    return True


def block_last_convolution(editor: Editor) -> bool:
    """The last convolution as one convolution of the four phases, for int8.

    From phases stacked to channels (p, q, in) to blocks of 4 × 4 pixels, channels (a, b, out). The
    phases must have even sides.
    """
    for last in _last_convolutions(editor):
        if not last.phases_have_even_sides:
            continue
        phases = [last.add_phase(editor, p, q) for p, q in PHASES]
        stacked = editor.add("Concat", phases, axis=1)
        weight, rows, columns = _block_weight(last, LARGE_BLOCK)
        bias = np.tile(last.bias, LARGE_BLOCK**2)
        blocks = add_conv(editor, stacked, weight, bias, rows, columns)
        last.replace(editor, blocks, LARGE_BLOCK)
        return True
    return False


def _last_convolutions(editor: Editor, *, behind_silu: bool = False) -> Iterator[LastConvolution]:
    for node in editor.of_type("ConvTranspose"):
        up = upsampling_of(editor, node)
        if up is None or not up.doubles:
            continue
        activations = silu_of(editor, node) if behind_silu else _activations_of(editor, node)
        if activations is None:
            continue
        conv = editor.sole_consumer((node, *activations)[-1].output[0])
        if conv is None or conv.op_type != "Conv":
            continue
        last = _last_convolution(editor, up, activations, conv)
        if last is not None:
            yield last


def _activations_of(editor: Editor, node: onnx.NodeProto) -> tuple[onnx.NodeProto, ...]:
    activation = activation_of(editor, node)
    return () if activation is None else (activation,)


def _last_convolution(
    editor: Editor, up: Upsampling, activations: tuple[onnx.NodeProto, ...], conv: onnx.NodeProto
) -> LastConvolution | None:
    weight = weight_of(editor, conv)
    if weight is None:
        return None
    out_channels, _, *kernel = weight.shape
    if out_channels > MAX_OUTPUT_CHANNELS:
        return None
    bias = bias_of(editor, conv, out_channels)
    if bias is None:
        return None
    if not is_plain(conv, stride=1):
        return None
    top, left, bottom, right = pads_of(conv)
    # The output is as large as the input.
    if [top + bottom + 1, left + right + 1] != kernel:
        return None
    return LastConvolution(
        node=conv,
        up=up,
        activations=activations,
        weight=weight,
        bias=bias,
        lead=(top, left),
        phases_have_even_sides=_has_even_sides(editor, up.node.input[0]),
    )


def _has_even_sides(editor: Editor, name: str) -> bool:
    """Whether height and width of a value are known and even."""
    sides = editor.shapes.get(name, [])[2:]
    # An unknown side is 0.
    return len(sides) == 2 and all(side > 0 and side % 2 == 0 for side in sides)


def block_reads(
    kernel: int, lead: int, side: int, phases: tuple[int, ...] = (0, 1)
) -> tuple[Taps, list[Read]]:
    """How a block of `side` output rows reads the rows of these phases."""
    # One row of the phases is two rows of the image.
    stride = side // 2
    positions = []
    for output, k in product(range(side), range(kernel)):
        row, phase = divmod(output + k - lead, 2)
        if phase in phases:
            positions.append((output, k, phase, row))
    taps = window([row for _, _, _, row in positions], stride)
    reads = []
    for output, k, phase, row in positions:
        reads.append(Read(output, k, phase, tap=row + taps.before))
    return taps, reads


def _block_weight(last: LastConvolution, side: int) -> tuple[Float32, Taps, Taps]:
    """From channels (p, q, in) to channels (a, b, out), and the window of rows and columns."""
    out, channels, height, width = last.weight.shape
    rows, row_reads = block_reads(height, last.lead[0], side)
    columns, column_reads = block_reads(width, last.lead[1], side)
    weight = np.zeros((side, side, out, 2, 2, channels, rows.size, columns.size), np.float32)
    for row, column in product(row_reads, column_reads):
        a = row.output
        b = column.output
        p = row.phase
        q = column.phase
        weight[a, b, :, p, q, :, row.tap, column.tap] = last.weight[:, :, row.kernel, column.kernel]
    shape = (side**2 * out, 4 * channels, rows.size, columns.size)
    return weight.reshape(shape), rows, columns


def _add_vertical(editor: Editor, last: LastConvolution, p: int, q: int, side: int) -> str:
    """Add the convolution from rows of phase (p, q) to channels (a, κx, out)."""
    out, channels, height, width = last.weight.shape
    taps, reads = block_reads(height, last.lead[0], side, (p,))
    weight = np.zeros((_padded(side * width * out), channels, taps.size, 1), np.float32)
    for read, kx in product(reads, range(width)):
        first = (read.output * width + kx) * out
        weight[first : first + out, :, read.tap, 0] = last.weight[:, :, read.kernel, kx]
    phase = last.add_phase(editor, p, q)
    return add_conv(editor, phase, weight, None, taps, Taps())


def _add_horizontal(editor: Editor, last: LastConvolution, source: str, q: int, side: int) -> str:
    """Add the convolution from channels (a, κx, out) of phase columns q to channels (a, b, out)."""
    out, _, _, width = last.weight.shape
    taps, reads = block_reads(width, last.lead[1], side, (q,))
    weight = np.zeros((side**2 * out, _padded(side * width * out), 1, taps.size), np.float32)
    for read, a, o in product(reads, range(side), range(out)):
        to_channel = (a * side + read.output) * out + o
        from_channel = (a * width + read.kernel) * out + o
        weight[to_channel, from_channel, 0, read.tap] = 1
    # The two q are summed; one of them brings the bias.
    bias = np.tile(last.bias, side**2) if q == 0 else None
    return add_conv(editor, source, weight, bias, Taps(), taps)


def _padded(channels: int) -> int:
    """The number of channels rounded up to whole blocks."""
    return math.ceil(channels / CHANNEL_BLOCK) * CHANNEL_BLOCK
