"""A last convolution that makes whole blocks of pixels, channels last: for int8 on ARM.

onnxruntime's int8 products there have sixteen columns at once, of which a last convolution to one
channel fills one. A convolution of stride 4 that makes blocks of 4 × 4 pixels fills them: of the
windows of 6 × 6 pixels that they read, each row is one copy.
"""

from __future__ import annotations

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

# Pixels in a side of the blocks.
BLOCK = 4


def stride_last_convolution(editor: Editor) -> bool:
    """Conv of stride 1 to few channels = Conv of stride 4 to blocks of pixels, and their layout.

    y[4i + a, 4j + b] = Σ w[κ, λ] · x[4i + a + κ, 4j + b + λ]: channel (a, b) of a convolution
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
        if bias is None or not is_small or not all(shape[2:]) or np.any(np.mod(sides, BLOCK)):
            continue
        blocks = np.zeros(
            (BLOCK, BLOCK, out, channels, height + BLOCK - 1, width + BLOCK - 1), np.float32
        )
        for a, b in product(range(BLOCK), repeat=2):
            blocks[a, b, :, :, a : a + height, b : b + width] = weight
        rows = Taps(height + BLOCK - 1, top, bottom, BLOCK)
        columns = Taps(width + BLOCK - 1, left, right, BLOCK)
        kernel = blocks.reshape(-1, *blocks.shape[3:])
        blocked = add_conv(editor, node.input[0], kernel, np.tile(bias, BLOCK**2), rows, columns)
        editor.remove(node)
        _add_layout(editor, blocked, sides, out, node.output[0])
        return True
    return False


def _add_layout(
    editor: Editor, blocked: str, sides: tuple[int, int], out: int, output: str
) -> None:
    """Lay out channels (a, b, out) of each block as pixels, as bytes can be."""
    height, width = sides
    whole = editor.add("Transpose", [blocked], perm=TO_CHANNELS_LAST)
    in_block = [0, height // BLOCK, width // BLOCK, BLOCK, BLOCK * out]
    apart = editor.add("Reshape", [whole, editor.add_constant(np.array(in_block))])
    rows = editor.add("Transpose", [apart], perm=[0, 1, 3, 2, 4])
    if out == 1:
        image_shape = editor.add_constant(np.array([0, 1, height, width]))
        editor.add("Reshape", [rows, image_shape], output)
        return
    image_shape = editor.add_constant(np.array([0, height, width, out]))
    image = editor.add("Reshape", [rows, image_shape])
    editor.add("Transpose", [image], output, perm=TO_CHANNELS_FIRST)
