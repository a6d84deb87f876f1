"""Nearest-neighbor upsampling beside convolutions.

Nearest ×2 repeats each row: u[Y] = x[⌊Y / 2⌋]. A 3×3 convolution with one row of padding behind it,
y[Y] = Σ w[κ] · u[Y + κ - 1], reads of the input

    Y = 2i       κ = 0: x[i - 1]      κ = 1, 2: x[i]
    Y = 2i + 1   κ = 0, 1: x[i]       κ = 2: x[i + 1]

A transposed convolution of stride 2, kernel 4 and one row of padding adds v[k] · x[j] to row
2j + k - 1: to row 2i x[i - 1] by v[3] and x[i] by v[1], to row 2i + 1 x[i] by v[2] and x[i + 1] by
v[0]. Both are the same for v = (w[2], w[1] + w[2], w[0] + w[1], w[0]): sixteen products where there
were thirty-six. Beyond the border both read zeros.
"""

from __future__ import annotations

import numpy as np
import onnx

from vae_export.rewrites.convolutions import bias_of, is_plain, pads_of, weight_of
from vae_export.rewrites.editor import Editor, attributes
from vae_runtime.arrays import Float32

# Rows of the 4×4 kernel as sums of rows of the 3×3 kernel, and columns alike.
ROW_SUMS = np.array([[0, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0]], np.float64)


def drop_resize_by_one(editor: Editor) -> bool:
    """Resize(x) = x where the output is as large as the input."""
    for node in editor.of_type("Resize"):
        if _scales(editor, node) != [1, 1] or node.output[0] in editor.outputs:
            continue
        editor.replace_input(node.output[0], node.input[0])
        editor.remove(node)
        return True
    return False


def convolve_before_upsampling(editor: Editor) -> bool:
    """Conv 1×1 (Resize(x)) = Resize(Conv 1×1 (x)): it looks at each pixel alone."""
    for resize, conv in _upsampled_convolutions(editor):
        weight = weight_of(editor, conv)
        if weight is None or weight.shape[2:] != (1, 1) or any(pads_of(conv)):
            continue
        before = editor.add_like(conv, resize.input[0])
        # By scales, for sizes would be of as many channels as there were.
        scales = editor.add_constant(np.array([1, 1, 2, 2], np.float32))
        editor.add("Resize", [before, "", scales], conv.output[0], **attributes(resize))
        _remove(editor, resize, conv)
        return True
    return False


def transpose_upsampled_convolution(editor: Editor) -> bool:
    """Conv 3×3 (nearest ×2 (x)) = ConvTranspose 4×4 of stride 2, with sums of kernel rows."""
    for resize, conv in _upsampled_convolutions(editor):
        weight = weight_of(editor, conv)
        if weight is None or weight.shape[2:] != (3, 3) or pads_of(conv) != [1, 1, 1, 1]:
            continue
        bias = bias_of(editor, conv, weight.shape[0])
        if bias is None:
            continue
        _remove(editor, resize, conv)
        inputs = [resize.input[0], editor.add_constant(_summed(weight)), editor.add_constant(bias)]
        editor.add(
            "ConvTranspose",
            inputs,
            conv.output[0],
            kernel_shape=[4, 4],
            pads=[1, 1, 1, 1],
            strides=[2, 2],
        )
        return True
    return False


def _summed(weight: Float32) -> Float32:
    """Weight (out, in, 3, 3) of the convolution -> (in, out, 4, 4) of the transposed one."""
    sums = np.einsum("yk,xl,oikl->ioyx", ROW_SUMS, ROW_SUMS, weight.astype(np.float64))
    summed: Float32 = sums.astype(np.float32)
    return summed


def _upsampled_convolutions(editor: Editor) -> list[tuple[onnx.NodeProto, onnx.NodeProto]]:
    """Each nearest ×2 with each of the plain convolutions that alone take its result.

    In a residual block there are two, one of them on the way around.
    """
    found = []
    for resize in editor.of_type("Resize"):
        if not _repeats_pixels(resize) or _scales(editor, resize) != [2, 2]:
            continue
        takers = editor.consumers(resize.output[0])
        if all(taker.op_type == "Conv" and is_plain(taker, stride=1) for taker in takers):
            found += [(resize, conv) for conv in takers]
    return found


def _remove(editor: Editor, resize: onnx.NodeProto, conv: onnx.NodeProto) -> None:
    """Remove a convolution, and the upsampling before it once nothing else takes its result."""
    editor.remove(conv)
    if not editor.consumers(resize.output[0]):
        editor.remove(resize)


def _repeats_pixels(resize: onnx.NodeProto) -> bool:
    """Whether it is ⌊Y / scale⌋ that row Y of the output is taken from."""
    settings = attributes(resize)
    return (
        settings.get("mode", b"nearest") == b"nearest"
        and settings.get("coordinate_transformation_mode") == b"asymmetric"
        and settings.get("nearest_mode") == b"floor"
        and "axes" not in settings
    )


def _scales(editor: Editor, resize: onnx.NodeProto) -> list[float]:
    """How many times as high and wide the output is; empty where that isn't known."""
    if len(resize.input) > 2 and resize.input[2]:
        scales = editor.constant(resize.input[2])
        if scales is None or scales.size != 4 or not np.all(scales[:2] == 1):
            return []
        return [float(scale) for scale in scales[2:]]
    before = editor.shapes.get(resize.input[0], [])
    after = editor.shapes.get(resize.output[0], [])
    if len(before) != 4 or len(after) != 4 or before[1] != after[1] or not all(before[1:]):
        return []
    return [after[2] / before[2], after[3] / before[3]]
