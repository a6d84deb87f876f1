"""Stride-2 transposed convolutions as four ordinary ones.

Output row Y = 2i + a of a transposed convolution with kernel k and leading pad p is the sum over
kernel rows κ with κ ≡ a + p (mod 2) of w[κ] · x[i + (a + p - κ) / 2]. So each phase a ∈ {0, 1} is
an ordinary convolution of x; in two dimensions there are four phases (a, b), and the output is
their pixel shuffle. Where the output isn't exactly twice as large, the last rows are cut off or not
computed at all, or the windows go on behind the last row of the input, which reads zeros.

For k = 3 and p = 1: phase 0, the even rows, has a + p = 1, so κ = 1 alone, at offset 0: a
convolution with one tap. Phase 1, the odd rows, has a + p = 2, so κ = 0 at offset 1 and κ = 2 at
offset 0: two taps, w[2] and w[0].
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product

import numpy as np
import onnx

from vae_export.rewrites.convolutions import (
    CHANNELS_FIRST,
    CHANNELS_LAST,
    TO_CHANNELS_FIRST,
    TO_CHANNELS_LAST,
    Taps,
    Upsampling,
    activation_of,
    add_conv,
    add_crop,
    add_pixels,
    upsampling_of,
    window,
)
from vae_export.rewrites.editor import Editor

# Lays out four phases, of which height and width are given, as one value of this name.
Interleave = Callable[[Editor, list[str], Upsampling, tuple[int, int], str], None]
# The four phases (a, b) in the order of a pixel shuffle's channels.
PHASES = tuple(product((0, 1), repeat=2))
# Products of one tap; pairs of phases of a 3×3 kernel compute three such taps of zeros. In int8 on
# a Cortex-A76 those of so many cost about as many instructions as two convolutions fewer save.
MAX_PAIRED_PRODUCTS = 1 << 17


def split_phases(editor: Editor) -> bool:
    """ConvTranspose = the pixel shuffle of four Conv, each with an activation that fuses.

    Each phase is brought to channels last by itself, where those of others may cancel it.
    """
    return _split(editor, _interleave_channels_last)


def stack_phases(editor: Editor) -> bool:
    """The same, but the phases are stacked before they are laid out.

    These are nine nodes fewer, and with blocked layouts onnxruntime brings channels last while it
    takes blocks apart.
    """
    return _split(editor, _interleave_stacked)


def pair_phases(editor: Editor) -> bool:
    """The same, two phases at once: one Conv for the even rows of the output and one for the odd.

    A convolution gives both columns of each pixel, (b, out), which side by side are a row of the
    output already. The even columns have fewer taps than the odd ones, and zeros for the others: it
    pays where computing these is less than what two calls cost by themselves.
    """
    for node in editor.of_type("ConvTranspose"):
        up = upsampling_of(editor, node)
        inside = editor.image_sides(node.input[0])
        if up is None or inside is None:
            continue
        sides = (inside[0] + up.more[0], inside[1] + up.more[1])
        if math.prod(sides) * math.prod(up.weight.shape[:2]) > MAX_PAIRED_PRODUCTS:
            continue
        activation = activation_of(editor, node)
        pairs = [_add_pair(editor, up, a, activation) for a in (0, 1)]
        editor.remove(node, activation)
        _interleave_rows(editor, pairs, up, sides, (activation or node).output[0])
        return True
    return False


def _add_pair(editor: Editor, up: Upsampling, a: int, activation: onnx.NodeProto | None) -> str:
    """Add output rows 2i + a as one convolution to channels (b, out)."""
    in_channels, out_channels, height, width = up.weight.shape
    rows, row_taps = _phase_window(height, a, up.lead[0], up.more[0])
    columns, column_reads = phase_offsets(width, up.lead[1])
    columns = columns.reaching(up.more[1])
    shape = (2, out_channels, in_channels, rows.size, columns.size)
    by_column = np.zeros(shape, np.float32)
    for (ky, y), (b, kx, x) in product(row_taps.items(), column_reads):
        by_column[b, :, :, y, x] = up.weight[:, :, ky, kx].T
    weight = by_column.reshape(-1, *shape[2:])
    output = add_conv(editor, up.node.input[0], weight, np.tile(up.bias, 2), rows, columns)
    if activation is None:
        return output
    return editor.add_like(activation, output)


def _interleave_rows(
    editor: Editor, pairs: list[str], up: Upsampling, sides: tuple[int, int], output: str
) -> None:
    """Lay out the even and the odd rows, (b, out) of each pixel, channels last."""
    channels = up.weight.shape[1]
    height, width = sides
    row_shape = editor.add_constant(np.array([0, height, 1, 2 * width, channels]))
    rows = []
    for pair in pairs:
        channels_last = editor.add("Transpose", [pair], perm=TO_CHANNELS_LAST)
        rows.append(editor.add("Reshape", [channels_last, row_shape]))
    stacked = editor.add("Concat", rows, axis=2)
    image_shape = editor.add_constant(np.array([0, 2 * height, 2 * width, channels]))
    image = editor.add("Reshape", [stacked, image_shape])
    image = add_crop(editor, image, up.excess, CHANNELS_LAST)
    editor.add("Transpose", [image], output, perm=TO_CHANNELS_FIRST)


def gather_phases(editor: Editor) -> bool:
    """The same where phases differ in size: only rows and columns that stay are computed.

    Of 2h + s rows phase a has ⌈(2h + s - a) / 2⌉. Of a 4×4 image that becomes 7×7 by a 3×3 kernel
    these are 100 products where whole blocks of 2 × 2 pixels take 144.
    """
    for node in editor.of_type("ConvTranspose"):
        up = upsampling_of(editor, node)
        inside = editor.image_sides(node.input[0])
        if up is None or not any(up.excess) or inside is None:
            continue
        more = [_more_of_phase(up, a, b) for a, b in PHASES]
        sizes = [(inside[0] + rows, inside[1] + columns) for rows, columns in more]
        if min(map(min, sizes)) < 1:
            continue
        activation = activation_of(editor, node)
        pixels = []
        for i, (a, b) in enumerate(PHASES):
            phase = add_phase(editor, up, a, b, activation, more[i])
            pixels.append(add_pixels(editor, phase, math.prod(sizes[i]), up.weight.shape[1]))
        editor.remove(node, activation)
        sides = (2 * inside[0] + up.surplus[0], 2 * inside[1] + up.surplus[1])
        _gather(editor, pixels, sizes, sides, (activation or node).output[0])
        return True
    return False


def _more_of_phase(up: Upsampling, a: int, b: int) -> tuple[int, int]:
    """How many more rows and columns than the input phase (a, b) has; fewer are below zero."""
    more = []
    for phase, kernel, lead, surplus in zip(
        (a, b), up.weight.shape[2:], up.lead, up.surplus, strict=True
    ):
        taps, _ = _phase_window(kernel, phase, lead, more=0)
        # A window that ends at its own row can't be kept from the last one.
        more.append(max((surplus - phase + 1) // 2, -taps.after))
    return more[0], more[1]


def _gather(
    editor: Editor,
    pixels: list[str],
    sizes: list[tuple[int, int]],
    sides: tuple[int, int],
    output: str,
) -> None:
    """Lay out the pixels (N, h · w, C) of four phases of these sizes as an image (N, C, *sides)."""
    stacked = editor.add("Concat", pixels, axis=1)
    begins = np.cumsum([0] + [height * width for height, width in sizes])
    rows, columns = np.indices(sides)
    phases = 2 * (rows % 2) + columns % 2
    widths = np.array([width for _, width in sizes])
    places = begins[phases] + rows // 2 * widths[phases] + columns // 2
    image = editor.add("Gather", [stacked, editor.add_constant(places)], axis=1)
    editor.add("Transpose", [image], output, perm=TO_CHANNELS_FIRST)


def _split(editor: Editor, interleave: Interleave) -> bool:
    for node in editor.of_type("ConvTranspose"):
        up = upsampling_of(editor, node)
        if up is None:
            continue
        activation = activation_of(editor, node)
        phases = [add_phase(editor, up, a, b, activation) for a, b in PHASES]
        editor.remove(node, activation)
        inside = editor.image_sides(node.input[0])
        output = (activation or node).output[0]
        if inside is None:
            _interleave(editor, phases, up, output)
        else:
            sides = (inside[0] + up.more[0], inside[1] + up.more[1])
            interleave(editor, phases, up, sides, output)
        return True
    return False


def add_phase(
    editor: Editor,
    up: Upsampling,
    a: int,
    b: int,
    activation: onnx.NodeProto | None,
    more: tuple[int, int] | None = None,
) -> str:
    """Add output rows 2i + a and columns 2j + b of a transposed convolution as an ordinary one.

    `more` rows and columns than the input, by default `up.more`. With a copy of `activation` behind
    it; returns the name of the result.
    """
    in_channels, out_channels, height, width = up.weight.shape
    more_rows, more_columns = more or up.more
    rows, row_taps = _phase_window(height, a, up.lead[0], more_rows)
    columns, column_taps = _phase_window(width, b, up.lead[1], more_columns)
    weight = np.zeros((out_channels, in_channels, rows.size, columns.size), np.float32)
    for (ky, y), (kx, x) in product(row_taps.items(), column_taps.items()):
        weight[:, :, y, x] = up.weight[:, :, ky, kx].T
    output = add_conv(editor, up.node.input[0], weight, up.bias, rows, columns)
    if activation is None:
        return output
    return editor.add_like(activation, output)


def _phase_window(kernel: int, phase: int, lead: int, more: int) -> tuple[Taps, dict[int, int]]:
    """How the rows of one phase read the input: the window, and each kernel row's tap in it."""
    offsets = {}
    for k in range(kernel):
        if (phase + lead - k) % 2 == 0:
            offsets[k] = (phase + lead - k) // 2
    taps = window(offsets.values()).reaching(more)
    return taps, {k: offset + taps.before for k, offset in offsets.items()}


def phase_offsets(kernel: int, lead: int) -> tuple[Taps, list[tuple[int, int, int]]]:
    """How the rows of both phases read the input through one window.

    The window, and (phase, kernel row, tap of the window) of each row of the kernel.
    """
    reads = []
    for phase, k in product((0, 1), range(kernel)):
        if (phase + lead - k) % 2 == 0:
            reads.append((phase, k, (phase + lead - k) // 2))
    taps = window([offset for _, _, offset in reads])
    return taps, [(phase, k, offset + taps.before) for phase, k, offset in reads]


def _interleave(editor: Editor, phases: list[str], up: Upsampling, output: str) -> None:
    """The pixel shuffle of four phases (N, C, H, W) to (N, C, 2H, 2W), less the excess."""
    stacked = editor.add("Concat", phases, axis=1)
    add_pixel_shuffle(editor, stacked, up, output)


def add_pixel_shuffle(editor: Editor, blocks: str, up: Upsampling, output: str) -> None:
    """Lay out channels (a, b, out) as pixels, less the excess."""
    if not any(up.excess):
        editor.add("DepthToSpace", [blocks], output, blocksize=2, mode="DCR")
        return
    image = editor.add("DepthToSpace", [blocks], blocksize=2, mode="DCR")
    add_crop(editor, image, up.excess, CHANNELS_FIRST, output)


def _interleave_channels_last(
    editor: Editor, phases: list[str], up: Upsampling, sides: tuple[int, int], output: str
) -> None:
    """The same for phases of known height and width, channels last.

    It copies whole pixels, in a third of the time of DepthToSpace, which copies single numbers.
    """
    channels = up.weight.shape[1]
    height, width = sides
    pixel_shape = editor.add_constant(np.array([0, height, 1, width, 1, channels]))
    pixels = []
    for phase in phases:
        channels_last = editor.add("Transpose", [phase], perm=TO_CHANNELS_LAST)
        pixels.append(editor.add("Reshape", [channels_last, pixel_shape]))
    even_rows = editor.add("Concat", pixels[:2], axis=4)
    odd_rows = editor.add("Concat", pixels[2:], axis=4)
    image_shape = editor.add_constant(np.array([0, 2 * height, 2 * width, channels]))
    rows = editor.add("Concat", [even_rows, odd_rows], axis=2)
    image = editor.add("Reshape", [rows, image_shape])
    image = add_crop(editor, image, up.excess, CHANNELS_LAST)
    editor.add("Transpose", [image], output, perm=TO_CHANNELS_FIRST)


def _interleave_stacked(
    editor: Editor, phases: list[str], up: Upsampling, sides: tuple[int, int], output: str
) -> None:
    """The same, of channels (a, b, out) of each pixel (i, j) in one transposition of whole pixels:
    (i, j, a, b) to (i, a, j, b).
    """
    channels = up.weight.shape[1]
    height, width = sides
    stacked = editor.add("Concat", phases, axis=1)
    pixels = editor.add("Transpose", [stacked], perm=TO_CHANNELS_LAST)
    block_shape = editor.add_constant(np.array([0, height, width, 2, 2, channels]))
    blocks = editor.add("Reshape", [pixels, block_shape])
    rows = editor.add("Transpose", [blocks], perm=[0, 1, 3, 2, 4, 5])
    image_shape = editor.add_constant(np.array([0, 2 * height, 2 * width, channels]))
    image = editor.add("Reshape", [rows, image_shape])
    image = add_crop(editor, image, up.excess, CHANNELS_LAST)
    editor.add("Transpose", [image], output, perm=TO_CHANNELS_FIRST)
