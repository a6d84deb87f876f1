"""Pads and crops beside a convolution become its own `pads`."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from vae_export.rewrites.convolutions import has_own_pads, pads_of, set_pads
from vae_export.rewrites.editor import Editor, attributes

# Axes of (N, C, H, W).
ROWS = 2
COLUMNS = 3
# Exporters write the largest number that they have where a Slice goes on to the end.
MIN_OPEN_END = 2**31 - 1


def fold_pad(editor: Editor) -> bool:
    """Conv(Pad(x, 0)) = Conv(x) with the pads added: Conv's own `pads` are zeros too."""
    for pad in editor.of_type("Pad"):
        amounts = _zero_padding(editor, pad)
        conv = editor.sole_consumer(pad.output[0])
        if amounts is None or conv is None:
            continue
        # Padded weights would be another convolution.
        if conv.op_type != "Conv" or conv.input[0] != pad.output[0]:
            continue
        if not has_own_pads(conv):
            continue
        own_pads = pads_of(conv)
        set_pads(conv, [own + more for own, more in zip(own_pads, amounts, strict=True)])
        conv.input[0] = pad.input[0]
        editor.remove(pad)
        return True
    return False


def fold_crop(editor: Editor) -> bool:
    """ConvTranspose(x)[.., :-e] = ConvTranspose(x) with e added to its end pads.

    For a transposed convolution `pads` crop the full output. Slices from 0 with step 1 up to a
    negative end are folded, one axis or several at a time.
    """
    for conv in editor.of_type("ConvTranspose"):
        crop = editor.sole_consumer(conv.output[0])
        if crop is None or crop.op_type != "Slice":
            continue
        if not has_own_pads(conv):
            continue
        weight = editor.constant(conv.input[1])
        # Only of a two-dimensional convolution are there four pads.
        if weight is None or weight.ndim != 4:
            continue
        removed = _removed_at_the_end(editor, crop)
        if removed is None:
            continue
        top, left, bottom, right = pads_of(conv)
        set_pads(conv, [top, left, bottom + removed[ROWS], right + removed[COLUMNS]])
        editor.remove(crop)
        conv.output[0] = crop.output[0]
        return True
    return False


def _zero_padding(editor: Editor, pad: onnx.NodeProto) -> list[int] | None:
    """Rows and columns of zeros that a Pad adds: top, left, bottom, right.

    None when it does anything else.
    """
    # Padding by reflection and by repetition is nothing that Conv can do.
    if attributes(pad).get("mode", b"constant") != b"constant":
        return None
    # The axes would say which amounts are left out; exporters name all of them.
    if _has_input(pad, 3):
        return None
    if _has_input(pad, 2):
        value = editor.constant(pad.input[2])
        if value is None or value.any():
            return None
    amounts = editor.constant(pad.input[1])
    # Begins and ends of (N, C, H, W).
    if amounts is None or len(amounts) != 8:
        return None
    # A negative amount crops.
    if amounts.min() < 0:
        return None
    if amounts[[0, 1, 4, 5]].any():
        return None
    return [int(amount) for amount in amounts[[2, 3, 6, 7]]]


def _removed_at_the_end(editor: Editor, crop: onnx.NodeProto) -> dict[int, int] | None:
    """How many rows and columns a Slice removes at the end, by axis.

    None when it does anything else.
    """
    bounds: list[NDArray[Any]] = []
    for name in crop.input[1:]:
        bound = editor.constant(name)
        if bound is None:
            return None
        bounds.append(np.atleast_1d(bound))
    # Without axes a Slice begins at the batch.
    if len(bounds) < 3:
        return None
    starts, ends, axes = bounds[:3]
    if starts.any():
        return None
    if len(bounds) > 3 and (bounds[3] != 1).any():
        return None
    removed = {ROWS: 0, COLUMNS: 0}
    for axis, end in zip(axes.tolist(), ends.tolist(), strict=True):
        # A negative axis counts from the last of the four.
        axis %= 4
        if axis not in removed:
            return None
        if end < 0:
            removed[axis] += -end
        elif end < MIN_OPEN_END:
            # How much such an end removes depends on the size.
            return None
    return removed


def _has_input(node: onnx.NodeProto, position: int) -> bool:
    return len(node.input) > position and node.input[position] != ""
