"""A last convolution that makes whole blocks of pixels, channels last: for int8.

onnxruntime's int8 products have sixteen columns at once, of which a last convolution to one channel
fills one. A convolution of stride 4 that makes blocks of 4 × 4 pixels fills them: of the windows of
6 × 6 pixels that they read, each row is one copy. For three channels blocks of 2 × 2 do.
"""

from __future__ import annotations

import math
from itertools import product

import numpy as np

from vae_export.rewrites.convolutions import (
    TO_CHANNELS_FIRST,
    TO_CHANNELS_LAST,
    Taps,
    add_conv,
    bias_of,
    is_plain,
    output_sides,
    pads_of,
    weight_of,
)
from vae_export.rewrites.editor import Editor
from vae_export.rewrites.last_convolution import MAX_OUTPUT_CHANNELS
from vae_export.rewrites.operators import MIN_QUANTIZED_CHANNELS

# Columns of an int8 product.
COLUMNS = 16


def stride_last_convolution(editor: Editor) -> bool:
    """Conv of stride 1 to few channels = Conv of stride s to blocks of pixels, and their layout.

    y[si + a, sj + b] = Σ w[κ, λ] · x[si + a + κ, sj + b + λ]: channel (a, b) of a convolution
    whose kernel is w, moved by (a, b).
    """
    for node in editor.of_type("Conv"):
        weight = weight_of(editor, node)
        shape = editor.shapes.get(node.input[0], [])
        if weight is None or len(shape) != 4 or not is_plain(node, stride=1):
            continue
        out, channels, height, width = weight.shape
        bias = bias_of(editor, node, out)
        top, left, bottom, right = pads_of(node)
        sides = output_sides(editor, node, weight)
        is_small = out <= MAX_OUTPUT_CHANNELS and channels >= MIN_QUANTIZED_CHANNELS
        side = _block_side(out)
        if bias is None or not is_small or not all(shape[2:]) or np.any(np.mod(sides, side)):
            continue
        blocks = np.zeros(
            (side, side, out, channels, height + side - 1, width + side - 1), np.float32
        )
        for a, b in product(range(side), repeat=2):
            blocks[a, b, :, :, a : a + height, b : b + width] = weight
        rows = Taps(height + side - 1, top, bottom, side)
        columns = Taps(width + side - 1, left, right, side)
        kernel = blocks.reshape(-1, *blocks.shape[3:])
        blocked = add_conv(editor, node.input[0], kernel, np.tile(bias, side**2), rows, columns)
        editor.remove(node)
        _add_layout(editor, blocked, sides, out, node.output[0])
        return True
    return False


def _block_side(out: int) -> int:
    """The pixels in a side of the blocks."""
    return math.isqrt(COLUMNS) if out == 1 else math.isqrt(COLUMNS // MAX_OUTPUT_CHANNELS)


def _add_layout(
    editor: Editor, blocked: str, sides: tuple[int, int], out: int, output: str
) -> None:
    """Lay out channels (a, b, out) of each block as pixels, as bytes can be."""
    height, width = sides
    side = _block_side(out)
    whole = editor.add("Transpose", [blocked], perm=TO_CHANNELS_LAST)
    in_block = [0, height // side, width // side, side, side * out]
    apart = editor.add("Reshape", [whole, editor.add_constant(np.array(in_block))])
    rows = editor.add("Transpose", [apart], perm=[0, 1, 3, 2, 4])
    if out == 1:
        image_shape = editor.add_constant(np.array([0, 1, height, width]))
        editor.add("Reshape", [rows, image_shape], output)
        return
    image_shape = editor.add_constant(np.array([0, height, width, out]))
    image = editor.add("Reshape", [rows, image_shape])
    editor.add("Transpose", [image], output, perm=TO_CHANNELS_FIRST)
