"""Pads and crops beside a convolution become its own `pads`."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from vae_export.rewrites.editor import Editor, attributes


def fold_pad(editor: Editor) -> bool:
    """Conv(Pad(x, 0)) = Conv(x) with the pads added: zero padding is what Conv's own `pads` mean."""
    for pad in editor.of_type("Pad"):
        conv = editor.sole_consumer(pad.output[0])
        amounts = editor.constant(pad.input[1])
        if conv is None or conv.op_type != "Conv" or amounts is None or conv.input[0] != pad.output[0]:
            continue
        mode = attributes(pad).get("mode", b"constant")
        value = editor.constant(pad.input[2]) if len(pad.input) > 2 and pad.input[2] else np.zeros(1)
        has_axes = len(pad.input) > 3 and pad.input[3]
        if mode != b"constant" or value is None or value.any() or has_axes or len(amounts) != 8:
            continue
        if amounts[[0, 1, 4, 5]].any() or amounts.min() < 0 or _auto_padded(conv):
            continue
        extra = amounts[[2, 3, 6, 7]]
        _set_pads(conv, [int(a + b) for a, b in zip(_pads(conv), extra, strict=True)])
        conv.input[0] = pad.input[0]
        editor.remove(pad)
        return True
    return False


def fold_crop(editor: Editor) -> bool:
    """ConvTranspose(x)[.., :-e] = ConvTranspose(x) with e added to its end pads: `pads` crop the full output.

    Slices from 0 with step 1 up to a negative end are folded, one axis or several at a time.
    """
    for conv in editor.of_type("ConvTranspose"):
        crop = editor.sole_consumer(conv.output[0])
        if crop is None or crop.op_type != "Slice" or _auto_padded(conv) or "output_shape" in attributes(conv):
            continue
        weight = editor.constant(conv.input[1])
        if weight is None or weight.ndim != 4:
            continue
        bounds = [editor.constant(name) for name in crop.input[1:]]
        if len(bounds) < 3 or any(bound is None for bound in bounds):
            continue
        removed = _cropped(bounds)
        if removed is None:
            continue
        pads = _pads(conv)
        _set_pads(conv, [*pads[:2], pads[2] + removed[0], pads[3] + removed[1]])
        editor.remove(crop)
        conv.output[0] = crop.output[0]
        return True
    return False


def _cropped(bounds: list[NDArray[Any] | None]) -> tuple[int, int] | None:
    """Rows and columns that a Slice removes at the end; None when it does anything else."""
    starts, ends, axes, *rest = (np.atleast_1d(b) for b in bounds if b is not None)
    if starts.any() or (rest and (rest[0] != 1).any()):
        return None
    removed = {2: 0, 3: 0}
    for end, axis in zip(ends.tolist(), axes.tolist(), strict=True):
        axis = axis if axis >= 0 else axis + 4
        if axis not in removed or not (end < 0 or end >= 2**31 - 1):
            return None
        removed[axis] += -end if end < 0 else 0
    return removed[2], removed[3]


def _pads(node: onnx.NodeProto) -> list[int]:
    return list(attributes(node).get("pads", [0, 0, 0, 0]))


def _set_pads(node: onnx.NodeProto, pads: list[int]) -> None:
    kept = [a for a in node.attribute if a.name != "pads"]
    node.ClearField("attribute")
    node.attribute.extend(kept)
    node.attribute.append(onnx.helper.make_attribute("pads", pads))


def _auto_padded(node: onnx.NodeProto) -> bool:
    return bool(attributes(node).get("auto_pad", b"NOTSET") != b"NOTSET")
