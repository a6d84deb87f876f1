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
    is_plain,
    pads_of,
    weight_of,
)
from vae_export.rewrites.editor import Editor
from vae_runtime.arrays import Float32

# A product's columns are computed so many at once; fewer outputs than that are computed for all
# taps together.
PRODUCT_COLUMNS = 16


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
    sides = _output_sides(editor, node, weight)
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
    return weight is not None and not _has_few_outputs(weight)


def _has_few_outputs(weight: Float32) -> bool:
    """Whether all taps together have fewer outputs than a product computes at once."""
    out, _, kernel_height, kernel_width = weight.shape
    taps = kernel_height * kernel_width
    return bool(taps > 1 and taps * out <= PRODUCT_COLUMNS)


def multiply_before_gathering(editor: Editor) -> bool:
    """Conv of few outputs = the sum over taps of what each pixel gives to each tap, moved by it.

    y[i, j] = Σ over taps (a, b) of (x · w[a, b])[i + a, j + b]: one product gives the planes of all
    taps, and only these are moved, not the pixels with all of their channels.
    """
    for node in editor.of_type("Conv"):
        weight = _weight(editor, node)
        if weight is None or not _has_few_outputs(weight):
            continue
        out, channels, kernel_height, kernel_width = weight.shape
        bias = bias_of(editor, node, out)
        assert bias is not None
        taps = list(product(range(kernel_height), range(kernel_width)))
        input_sides = editor.shapes[node.input[0]][2:]
        source = editor.add("Transpose", [node.input[0]], perm=TO_CHANNELS_LAST)
        columns = weight.transpose(1, 2, 3, 0).reshape(channels, -1)
        rows = _product(editor, source, columns, None, None)
        shape = editor.add_constant(np.array([-1, *input_sides, len(taps) * out]))
        planes = editor.add("Reshape", [rows, shape])
        planes = editor.add("Transpose", [planes], perm=TO_CHANNELS_FIRST)
        sides = _output_sides(editor, node, weight)
        total = _sum_of_moved(editor, planes, taps, out, pads_of(node), sides)
        offsets = editor.add_constant(bias.reshape(out, 1, 1))
        editor.remove(node)
        editor.add("Add", [total, offsets], node.output[0])
        return True
    return False


def _sum_of_moved(
    editor: Editor,
    planes: str,
    taps: list[tuple[int, int]],
    out: int,
    pads: list[int],
    sides: tuple[int, int],
) -> str:
    """Planes (N, taps · out, H, W), each moved to where its tap is read: their sum over taps, (N,
    out, *sides).
    """
    top, left, bottom, right = pads
    around = editor.add_constant(np.array([0, 0, top, left, 0, 0, bottom, right]))
    padded = editor.add("Pad", [planes, around])
    axes = editor.add_constant(np.array([1, 2, 3]))
    moved = []
    for number, (y, x) in enumerate(taps):
        starts = editor.add_constant(np.array([number * out, y, x]))
        ends = editor.add_constant(np.array([(number + 1) * out, y + sides[0], x + sides[1]]))
        moved.append(editor.add("Slice", [padded, starts, ends, axes]))
    return editor.add("Sum", moved)


def _weight(editor: Editor, node: onnx.NodeProto) -> Float32 | None:
    """The weight (out, in, kh, kw) of a convolution of stride 1 that can be a product."""
    weight = weight_of(editor, node)
    shape = editor.shapes.get(node.input[0], [])
    if weight is None or len(shape) != 4 or not all(shape[1:]) or not is_plain(node, stride=1):
        return None
    return None if bias_of(editor, node, len(weight)) is None else weight


def _output_sides(editor: Editor, node: onnx.NodeProto, weight: Float32) -> tuple[int, int]:
    _, _, height, width = editor.shapes[node.input[0]]
    top, left, bottom, right = pads_of(node)
    kernel_height, kernel_width = weight.shape[2:]
    return height + top + bottom - kernel_height + 1, width + left + right - kernel_width + 1


def _product(
    editor: Editor,
    pixels: str,
    columns: Float32,
    bias: Float32 | None,
    activation: onnx.NodeProto | None,
) -> str:
    """Pixels (N, H, W, K) times columns (K, out), plus bias, activated: (N · H · W, out)."""
    rows_shape = editor.add_constant(np.array([-1, len(columns)]))
    rows = editor.add("Reshape", [pixels, rows_shape])
    inputs = [rows, editor.add_constant(columns.astype(np.float32))]
    if bias is not None:
        inputs.append(editor.add_constant(bias))
    result = editor.add("Gemm", inputs)
    if activation is None:
        return result
    return editor.add_like(activation, result)
