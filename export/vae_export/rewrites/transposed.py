"""Transposed convolutions that are ordinary ones."""

from __future__ import annotations

from itertools import product

import numpy as np

from vae_export.rewrites.convolutions import (
    Taps,
    Upsampling,
    add_conv,
    bias_of,
    flipped,
    is_plain,
    opposite_pads,
    upsampling_of,
    weight_of,
)
from vae_export.rewrites.editor import Editor, attributes
from vae_export.rewrites.last_convolution import MAX_OUTPUT_CHANNELS
from vae_export.rewrites.phases import add_pixel_shuffle, phase_offsets


def flip_stride_one(editor: Editor) -> bool:
    """ConvTranspose of stride 1 = Conv with the flipped kernel.

    y[Y] = Σ w[κ] · x[Y + p - κ] with leading pad p; with κ' = k - 1 - κ that is
    Σ w[k - 1 - κ'] · x[Y + κ' - (k - 1 - p)], a convolution with leading pad k - 1 - p.
    """
    for node in editor.of_type("ConvTranspose"):
        weight = weight_of(editor, node)
        if weight is None or not is_plain(node, stride=1):
            continue
        bias = bias_of(editor, node, weight.shape[1])
        height, width = weight.shape[2:]
        top, left, bottom, right = pads = opposite_pads(node, weight)
        extra = attributes(node).get("output_padding", [0, 0])
        if bias is None or min(pads) < 0 or any(extra):
            continue
        rows = Taps(height, top, bottom)
        columns = Taps(width, left, right)
        editor.remove(node)
        add_conv(editor, node.input[0], flipped(weight), bias, rows, columns, node.output[0])
        return True
    return False


def block_last_upsampling(editor: Editor) -> bool:
    """A ConvTranspose to few channels = one Conv to four times as many, and a DepthToSpace.

    Channel (a, b, o) of the convolution is phase (a, b) of output channel o (see `phases`); its
    window reaches what any of the four phases reads. onnxruntime's transposed convolution, and
    four phases too, leave most of a block of channels empty where there are few.
    """
    for node in editor.of_type("ConvTranspose"):
        up = upsampling_of(editor, node)
        if up is None or up.weight.shape[1] > MAX_OUTPUT_CHANNELS:
            continue
        blocks = _add_blocks(editor, up)
        editor.remove(node)
        add_pixel_shuffle(editor, blocks, up, node.output[0])
        return True
    return False


def _add_blocks(editor: Editor, up: Upsampling) -> str:
    """Add the convolution to channels (a, b, out)."""
    in_channels, out, height, width = up.weight.shape
    rows, row_taps = phase_offsets(height, up.lead[0])
    columns, column_taps = phase_offsets(width, up.lead[1])
    weight = np.zeros((2, 2, out, in_channels, rows.size, columns.size), np.float32)
    for (a, ky, y), (b, kx, x) in product(row_taps, column_taps):
        weight[a, b, :, :, y, x] = up.weight[:, :, ky, kx].T
    shape = (4 * out, in_channels, rows.size, columns.size)
    rows = rows.reaching(up.more[0])
    columns = columns.reaching(up.more[1])
    bias = np.tile(up.bias, 4)
    return add_conv(editor, up.node.input[0], weight.reshape(shape), bias, rows, columns)
