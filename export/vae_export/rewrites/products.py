"""Convolutions as matrix products over pixels, channels last: for CPUs without blocked layouts.

There onnxruntime gathers a convolution's windows itself, number by number. With channels last a tap
of the window is a copy of whole pixels, the weights are the product's right side, which onnxruntime
packs once, and bias and activation are part of it. What it saves is counted by
`python -m benchmarks.instructions`.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import onnx
from numpy.typing import NDArray

from vae_export.rewrites.convolutions import (
    CHANNELS_LAST,
    TO_CHANNELS_FIRST,
    TO_CHANNELS_LAST,
    activation_of,
    bias_of,
    flipped,
    is_plain,
    opposite_pads,
    output_sides,
    pads_of,
    weight_of,
)
from vae_export.rewrites.editor import Editor
from vae_export.rewrites.last_convolution import MAX_OUTPUT_CHANNELS
from vae_runtime.arrays import Float32


def multiply_pixels(editor: Editor) -> bool:
    """Conv of stride 1 = the product of each pixel's window (kh · kw · in,) with the weights.

    y[i, j] = [x[i, j], x[i, j + 1], …] · W, W (kh · kw · in, out) being the kernel's taps one under
    another. All convolutions of one value, such as phases, share its padded copy and their taps.
    """
    for first in editor.of_type("Conv"):
        source = first.input[0]
        found = []
        for node in editor.of_type("Conv"):
            if node.input[0] == source and _has_a_product_for_each_pixel(editor, node):
                found.append(node)
        if not found:
            continue
        pads = np.max([pads_of(node) for node in found], axis=0)
        pixels = Pixels(editor, source, pads)
        for node in found:
            _multiply(editor, node, pixels)
        return True
    return False


class Pixels:
    """A value with channels last, from which windows are taken, each tap of them once."""

    def __init__(self, editor: Editor, source: str, pads: NDArray[np.int64]) -> None:
        self.editor = editor
        self.sides = editor.shapes[source][2:]
        self.lead = pads[:2]
        self.whole = editor.add("Transpose", [source], perm=TO_CHANNELS_LAST)
        self._padded = self.whole
        if pads.any():
            top, left, bottom, right = pads
            around = editor.add_constant(np.array([0, top, left, 0, 0, bottom, right, 0]))
            self._padded = editor.add("Pad", [self.whole, around])
        self._taken: dict[tuple[int, ...], str] = {}

    def tap(self, offset: tuple[int, int], sides: tuple[int, int]) -> str:
        """The pixels (N, *sides, C) that begin at an offset, below zero in the padding."""
        if offset == (0, 0) and list(sides) == list(self.sides):
            return self.whole
        place = (*offset, *sides)
        if place not in self._taken:
            begin = np.array(offset) + self.lead
            bounds = (begin, begin + sides, np.array(CHANNELS_LAST))
            constants = [self.editor.add_constant(bound) for bound in bounds]
            self._taken[place] = self.editor.add("Slice", [self._padded, *constants])
        return self._taken[place]


def _multiply(editor: Editor, node: onnx.NodeProto, pixels: Pixels) -> None:
    weight = weight_of(editor, node)
    assert weight is not None
    out, _, kernel_height, kernel_width = weight.shape
    bias = bias_of(editor, node, out)
    assert bias is not None
    sides = output_sides(editor, node, weight)
    top, left = pads_of(node)[:2]
    window = []
    for y, x in product(range(kernel_height), range(kernel_width)):
        window.append(pixels.tap((y - top, x - left), sides))
    gathered = window[0] if len(window) == 1 else editor.add("Concat", window, axis=3)
    columns = weight.transpose(2, 3, 1, 0).reshape(-1, out)
    activation = activation_of(editor, node)
    rows = _product(editor, gathered, columns, bias, activation)
    shape = editor.add_constant(np.array([-1, *sides, out]))
    image = editor.add("Reshape", [rows, shape])
    editor.remove(node, activation)
    editor.add("Transpose", [image], (activation or node).output[0], perm=TO_CHANNELS_FIRST)


def _has_a_product_for_each_pixel(editor: Editor, node: onnx.NodeProto) -> bool:
    weight = _weight(editor, node)
    return weight is not None and not _has_few_outputs(node, weight)


def _has_few_outputs(node: onnx.NodeProto, weight: Float32) -> bool:
    """Whether a pixel gives fewer products to all taps than a window has numbers.

    Its pads must be those of a transposed convolution too, less than the kernel.
    """
    out, channels, *kernel = weight.shape
    if max(kernel) == 1 or out > MAX_OUTPUT_CHANNELS or out >= channels:
        return False
    return min(opposite_pads(node, weight)) >= 0


def transpose_few_outputs(editor: Editor) -> bool:
    """Conv of few outputs = ConvTranspose with the flipped kernel (see `flip_stride_one`).

    onnxruntime multiplies each pixel with all taps at once, and adds these few products up where
    they belong; for the convolution it would gather windows of all channels.
    """
    for node in editor.of_type("Conv"):
        weight = _weight(editor, node)
        if weight is None or not _has_few_outputs(node, weight):
            continue
        bias = bias_of(editor, node, len(weight))
        assert bias is not None
        constants = [editor.add_constant(flipped(weight)), editor.add_constant(bias)]
        editor.remove(node)
        editor.add(
            "ConvTranspose",
            [node.input[0], *constants],
            node.output[0],
            pads=opposite_pads(node, weight),
        )
        return True
    return False


def _weight(editor: Editor, node: onnx.NodeProto) -> Float32 | None:
    """The weight (out, in, kh, kw) of a convolution of stride 1 that can be a product."""
    weight = weight_of(editor, node)
    sides = editor.image_sides(node.input[0])
    if weight is None or sides is None or not is_plain(node, stride=1):
        return None
    return None if bias_of(editor, node, len(weight)) is None else weight


def _product(
    editor: Editor,
    pixels: str,
    columns: Float32,
    bias: Float32,
    activation: onnx.NodeProto | None,
) -> str:
    """Pixels (N, H, W, K) times columns (K, out), plus bias, activated: (N · H · W, out)."""
    rows_shape = editor.add_constant(np.array([-1, len(columns)]))
    rows = editor.add("Reshape", [pixels, rows_shape])
    constants = [editor.add_constant(columns.astype(np.float32)), editor.add_constant(bias)]
    result = editor.add("Gemm", [rows, *constants])
    if activation is None:
        return result
    return editor.add_like(activation, result)
