"""Winograd's minimal filtering: fewer products for layers of many channels.

A window of r taps that moves along four values gives m = 5 - r outputs for m · r products. Four
products do (Winograd 1980; Lavin and Gray 2016, "Fast algorithms for convolutional neural
networks", section 4). It is the transpose of how two polynomials are multiplied by their values at
0, 1, -1 and infinity, from which the product is interpolated. In matrices

    y = A [(G w) ⊙ (B d)]        d: four values, w: r taps, y: m outputs

and in two dimensions, with 4 × 4 values in a tile, B, G and A along rows and along columns, which
is one matrix each, their Kronecker product. B is the same for both r:

    r = 3, m = 2    a 3×3 convolution: 16 products for 2 × 2 outputs, where there were 36
    r = 2, m = 3    2×2 taps: 16 products for 3 × 3 outputs, where there were 36

The second is a 4×4 transposed convolution of stride 2: all four phases of a block of output pixels
look at 2 × 2 inputs (see `phases`), so they are one convolution to four times as many channels.

With all channels each of the sixteen is a matrix product, of the tiles of all images (T · N, C)
with weights (C, out). What it costs are the tiles: copies of whole pixels, channels last, and
products with B and A. So it pays where a pixel has hundreds of channels, and where there are tiles
enough that reading sixteen matrices of weights, where there were nine or for each phase four, takes
less than is saved. The file grows by as much. onnxruntime could compute them from the weights as it
loads: 25 MB less in one decoder, but half a second instead of a tenth at every start.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from vae_export.rewrites.convolutions import (
    TO_CHANNELS_FIRST,
    Upsampling,
    activation_of,
    add_pixels,
    bias_of,
    is_plain,
    output_sides,
    pads_of,
    upsampling_of,
    weight_of,
)
from vae_export.rewrites.editor import Editor
from vae_export.rewrites.phases import PHASES, phase_offsets
from vae_runtime.arrays import Float32

Float64 = NDArray[np.float64]
Pair = tuple[int, int]

# Rows and columns of a tile.
TILE = 4
# B: the interpolation from values at 0, at 1 and -1, and at infinity, transposed.
VALUES = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]], np.float64)
# G and A, by the number of taps.
TAPS: dict[int, Float64] = {
    2: np.array([[1, 0], [0.5, 0.5], [0.5, -0.5], [0, -1]]),
    3: np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]]),
}
OUTPUTS: dict[int, Float64] = {
    2: np.array([[1, 1, 1, 0], [0, 1, -1, 0], [0, 1, 1, 1]], np.float64),
    3: np.array([[1, 1, 1, 0], [0, 1, -1, -1]], np.float64),
}
# The product, of row 1 and column 1, that A adds to every output: a bias in it is in all of them.
BIASED = TILE + 1
# With fewer channels in or out, the phases counted together, tiles cost more than they save.
MIN_CHANNELS = 256
# Of float32, that the tiles of one image may take: 64 MB.
MAX_TILE_NUMBERS = 1 << 24


@dataclass(frozen=True)
class Filter:
    """A convolution of stride 1 in tiles, channels last.

    weight (r, r, in, out), bias (out,), height and width of the input, the place of the first
    window's first value (below zero in the padding), and the number of windows, in rows and
    columns.
    """

    weight: Float32
    bias: Float32
    sides: Pair
    first: Pair
    counts: Pair

    @property
    def step(self) -> int:
        """The outputs in a side of a tile."""
        return TILE + 1 - len(self.weight)

    @property
    def tiles(self) -> Pair:
        rows, columns = self.counts
        return -(-rows // self.step), -(-columns // self.step)

    @property
    def tile_count(self) -> int:
        return self.tiles[0] * self.tiles[1]

    @property
    def is_worth_it(self) -> bool:
        channels = self.weight.shape[2:]
        numbers = TILE**2 * self.tile_count * max(channels)
        return bool(min(channels) >= MIN_CHANNELS and numbers <= MAX_TILE_NUMBERS)

    def pixels_of_tiles(self) -> NDArray[np.int64]:
        """The input pixels (16, T) in each tile; the one behind the last stands for padding."""
        height, width = self.sides
        tile_rows, tile_columns = self.tiles
        y, x, i, j = np.indices((TILE, TILE, tile_rows, tile_columns))
        rows = self.first[0] + self.step * i + y
        columns = self.first[1] + self.step * j + x
        is_inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        pixels = np.where(is_inside, rows * width + columns, height * width)
        return pixels.reshape(TILE**2, self.tile_count)

    def places_of_outputs(
        self, rows: NDArray[np.int64], columns: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Where the output of a window is among (row in the tile, column in it, tile)."""
        y, x = rows % self.step, columns % self.step
        tile = rows // self.step * self.tiles[1] + columns // self.step
        return (y * self.step + x) * self.tile_count + tile


def filter_convolution(editor: Editor) -> bool:
    """Conv 3×3 = sixteen matrix products of tiles of 4 × 4 pixels."""
    for node in editor.of_type("Conv"):
        weight = weight_of(editor, node)
        sides = editor.image_sides(node.input[0])
        if weight is None or sides is None:
            continue
        bias = bias_of(editor, node, len(weight))
        if weight.shape[2:] != (3, 3) or bias is None or not is_plain(node, stride=1):
            continue
        top, left, _, _ = pads_of(node)
        counts = output_sides(editor, node, weight)
        layer = Filter(weight.transpose(2, 3, 1, 0), bias, sides, (-top, -left), counts)
        if not layer.is_worth_it:
            continue
        outputs = _add_products(editor, layer, node.input[0])
        places = layer.places_of_outputs(*np.indices(counts))
        _replace(editor, node, layer, outputs, places)
        return True
    return False


def filter_upsampling(editor: Editor) -> bool:
    """ConvTranspose 4×4 of stride 2 = sixteen matrix products of tiles, and a pixel shuffle."""
    for node in editor.of_type("ConvTranspose"):
        up = upsampling_of(editor, node)
        sides = editor.image_sides(node.input[0])
        if up is None or up.weight.shape[2:] != (4, 4) or sides is None:
            continue
        rows, columns = (_PhaseWindows.of(up, axis, sides[axis]) for axis in (0, 1))
        first = (rows.first, columns.first)
        counts = (rows.count, columns.count)
        layer = Filter(_stacked(up, rows, columns), np.tile(up.bias, 4), sides, first, counts)
        if not layer.is_worth_it:
            continue
        outputs = _add_products(editor, layer, node.input[0])
        y, x = np.ix_(np.arange(rows.outputs), np.arange(columns.outputs))
        windows = layer.places_of_outputs(rows.window_of(y), columns.window_of(x))
        phases = 2 * (y % 2) + x % 2
        _replace(editor, node, layer, outputs, len(PHASES) * windows + phases, len(PHASES))
        return True
    return False


@dataclass(frozen=True)
class _PhaseWindows:
    """One dimension of a transposed convolution whose phases have two taps each.

    For each phase its kernel rows by tap, and how many windows behind the first one it begins; the
    input row of the first window, and the number of output rows.
    """

    kernel_rows: tuple[list[int], list[int]]
    begins: Pair
    first: int
    outputs: int

    @classmethod
    def of(cls, up: Upsampling, axis: int, side: int) -> _PhaseWindows:
        taps, reads = phase_offsets(up.weight.shape[2 + axis], up.lead[axis])
        kernel_rows: tuple[list[int], list[int]] = ([], [])
        begins = []
        for phase in (0, 1):
            places = sorted((tap, k) for a, k, tap in reads if a == phase)
            kernel_rows[phase].extend(k for _, k in places)
            begins.append(places[0][0])
        earliest = min(begins)
        first = earliest - taps.before
        shifts = (begins[0] - earliest, begins[1] - earliest)
        return cls(kernel_rows, shifts, first, 2 * side + up.surplus[axis])

    @property
    def count(self) -> int:
        """The number of windows that some output needs."""
        return int(self.window_of(np.arange(self.outputs)).max()) + 1

    def window_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        windows: NDArray[np.int64] = rows // 2 + np.array(self.begins)[rows % 2]
        return windows


def _stacked(up: Upsampling, rows: _PhaseWindows, columns: _PhaseWindows) -> Float32:
    """The weight (2, 2, in, phases · out) of all phases together."""
    phases = []
    for a, b in PHASES:
        taken = up.weight[:, :, rows.kernel_rows[a]][:, :, :, columns.kernel_rows[b]]
        phases.append(taken.transpose(2, 3, 0, 1))
    return np.concatenate(phases, axis=3)


def _add_products(editor: Editor, layer: Filter, source: str) -> str:
    """Add the layer up to its outputs (N, m² · T, out), as `places_of_outputs` says."""
    channels, out = layer.weight.shape[2:]
    tiles = layer.tile_count
    values = _multiplied(editor, VALUES, _add_tiles(editor, layer, source), tiles * channels)
    shape = editor.add_constant(np.array([0, TILE**2, tiles, channels]))
    by_row = editor.add("Reshape", [values, shape])
    factors = editor.add_many("Split", [by_row], TILE**2, axis=1, num_outputs=TILE**2)
    products = []
    for number, weight in enumerate(_transformed(layer.weight)):
        product = editor.add("MatMul", [factors[number], editor.add_constant(weight)])
        if number == BIASED and layer.bias.any():
            product = editor.add("Add", [product, editor.add_constant(layer.bias)])
        products.append(product)
    together = editor.add("Concat", products, axis=1)
    return _multiplied(editor, OUTPUTS[len(layer.weight)], together, tiles * out)


def _add_tiles(editor: Editor, layer: Filter, source: str) -> str:
    """Add the copies of pixels (N, 16, T, C)."""
    channels = layer.weight.shape[2]
    pixels = add_pixels(editor, source, layer.sides[0] * layer.sides[1], channels)
    behind = editor.add_constant(np.array([0, 0, 0, 0, 1, 0]))
    padded = editor.add("Pad", [pixels, behind])
    return editor.add("Gather", [padded, editor.add_constant(layer.pixels_of_tiles())], axis=1)


def _multiplied(editor: Editor, matrix: Float64, source: str, width: int) -> str:
    """Multiply rows and columns of each tile by a matrix; the tiles and channels are `width`."""
    both = np.kron(matrix, matrix).astype(np.float32)
    shape = editor.add_constant(np.array([0, TILE**2, width]))
    flat = editor.add("Reshape", [source, shape])
    return editor.add("MatMul", [editor.add_constant(both), flat])


def _transformed(weight: Float32) -> Float32:
    """The sixteen matrices (16, in, out)."""
    taps, _, channels, out = weight.shape
    both = np.kron(TAPS[taps], TAPS[taps])
    flat = weight.reshape(taps**2, channels * out).astype(np.float64)
    matrices: Float32 = (both @ flat).astype(np.float32)
    return matrices.reshape(TILE**2, channels, out)


def _replace(
    editor: Editor,
    node: onnx.NodeProto,
    layer: Filter,
    outputs: str,
    places: NDArray[np.int64],
    phases: int = 1,
) -> None:
    """Put the outputs at these places (H, W), and the activation behind, in place of the layer.

    Each output of the layer holds a pixel of as many `phases`.
    """
    activation = activation_of(editor, node)
    count = layer.step**2 * layer.tile_count * phases
    channels = layer.weight.shape[3] // phases
    shape = editor.add_constant(np.array([0, count, channels]))
    pixels = editor.add("Reshape", [outputs, shape])
    image = editor.add("Gather", [pixels, editor.add_constant(places)], axis=1)
    if activation is not None:
        image = editor.add_like(activation, image)
    editor.remove(node, activation)
    editor.add("Transpose", [image], (activation or node).output[0], perm=TO_CHANNELS_FIRST)
