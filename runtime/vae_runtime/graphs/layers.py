"""Shape functions of the layers of networks, with what they take in multiplications."""

from __future__ import annotations

import math

from vae_runtime.graphs.shapes import (
    ONE,
    Call,
    Dim,
    Shape,
    Value,
    broadcast,
    elements,
    fixed,
    numbers_in,
    size_of,
    sizes_in,
)
from vae_runtime.graphs.wire import GraphError

# A pixel of a bicubic resize is a sum of 4×4.
RESIZE_WORK = 16
# Numbers that an LSTM computes for each one that it gives; others compute fewer.
MAX_GATES = 4
MAX_EINSUM_LETTERS = 12


def convolution(call: Call) -> list[Value]:
    return [_convolved(call, call.input(0), call.input(1))]


def quantized_convolution(call: Call) -> list[Value]:
    """QLinearConv, whose weights stand after the scale and zero point of its input."""
    return [_convolved(call, call.input(0), call.input(3))]


def transposed_convolution(call: Call) -> list[Value]:
    image, weights = call.input(0), call.input(1)
    rank = _spatial_rank(image, weights)
    kernel = [fixed(dim) for dim in weights.shape[2:]]
    strides = _positive(call.integers("strides", [1] * rank))
    dilations = _positive(call.integers("dilations", [1] * rank))
    pads = call.integers("pads", [0] * 2 * rank)
    extra = call.integers("output_padding", [0] * rank)
    given = call.integers("output_shape", [])
    is_same = call.word("auto_pad", "NOTSET").startswith("SAME")
    sizes: list[Dim] = []
    for i in range(rank):
        size = fixed(image.shape[2 + i])
        length = strides[i] * (size - 1) + extra[i] + (kernel[i] - 1) * dilations[i] + 1
        length -= pads[i] + pads[i + rank]
        sizes.append((strides[i] * size if is_same else length, 0))
    if given:
        sizes = [(size, 0) for size in given[-rank:]]
    channels = (fixed(weights.shape[1]) * call.integer("group", 1), 0)
    per_pixel = elements(weights.shape[1:])
    work = elements(image.shape) * per_pixel
    shape = (image.shape[0], channels, *sizes)
    return [Value(shape, work=work, scratch=elements(image.shape[2:]) * per_pixel)]


def pooling(call: Call) -> list[Value]:
    image = call.input(0)
    rank = max(0, len(image.shape) - 2)
    kernel = _positive(call.integers("kernel_shape", [0] * rank))
    sizes = _windows(call, image, kernel)
    shape = (*image.shape[:2], *sizes)
    work = elements(shape) * math.prod(kernel)
    return [Value(shape, work=work), Value(shape)]


def global_pooling(call: Call) -> list[Value]:
    image = call.input(0)
    shape = image.shape[:2] + (ONE,) * max(0, len(image.shape) - 2)
    return [Value(shape, work=elements(image.shape))]


def matrix_product(call: Call) -> list[Value]:
    return [_multiplied(call.input(0), call.input(1))]


def quantized_matrix_product(call: Call) -> list[Value]:
    """QLinearMatMul, whose second factor stands after the scale and zero point of its first."""
    return [_multiplied(call.input(0), call.input(3))]


def gemm(call: Call) -> list[Value]:
    return [_gemm(call, call.input(0), call.input(1))]


def quantized_gemm(call: Call) -> list[Value]:
    return [_gemm(call, call.input(0), call.input(3))]


def quantized_pair(call: Call) -> list[Value]:
    """QLinearAdd and QLinearMul: two tensors, each followed by its scale and zero point."""
    return [Value(broadcast((call.input(0).shape, call.input(3).shape)))]


def quantized_concat(call: Call) -> list[Value]:
    """QLinearConcat: after the output's scale and zero point, triples like those above."""
    first = call.input(2)
    axis = call.axis(first, 0)
    total = 0
    for i in range(2, len(call.values), 3):
        shape = call.input(i).shape
        if len(shape) != len(first.shape):
            raise GraphError("shapes of its inputs do not fit each other")
        total += fixed(shape[axis])
    return [Value((*first.shape[:axis], (total, 0), *first.shape[axis + 1 :]))]


def einsum(call: Call) -> list[Value]:
    left, arrow, right = call.word("equation", "").replace(" ", "").partition("->")
    terms = left.split(",")
    letters = set(left) - {","}
    is_plain = all(letter.isascii() and letter.isalpha() for letter in letters)
    if not arrow or not is_plain or len(terms) != len(call.values) or len(terms) > 3:
        raise GraphError("its equation is not one of one to three terms of letters with ->")
    if len(letters) > MAX_EINSUM_LETTERS:
        raise GraphError(f"its equation has more than {MAX_EINSUM_LETTERS} letters")
    sizes: dict[str, Dim] = {}
    for i, term in enumerate(terms):
        shape = call.input(i).shape
        if len(term) != len(shape) or len(set(term)) != len(term):
            raise GraphError("its equation does not fit the shapes of its inputs")
        for letter, dim in zip(term, shape, strict=True):
            if sizes.setdefault(letter, dim) != dim:
                raise GraphError("its equation does not fit the shapes of its inputs")
    if not set(right) <= letters or len(set(right)) != len(right):
        raise GraphError("the result of its equation has other letters than its terms")
    return [Value(tuple(sizes[letter] for letter in right), work=elements(sizes.values()))]


def resize(call: Call) -> list[Value]:
    image = call.input(0)
    rank = len(image.shape)
    scales, sizes = call.optional(2), call.optional(3)
    axes = call.integers("axes", [])
    if axes or call.word("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise GraphError("it resizes only some axes, or keeps proportions")
    shape: list[Dim] = []
    if sizes is not None:
        shape = sizes_in(sizes, "sizes")
    elif scales is not None:
        for dim, scale in zip(image.shape, numbers_in(scales, "scales"), strict=False):
            shape.append(_scaled(dim, scale))
    if len(shape) != rank:
        raise GraphError("it does not say a size for each dimension")
    if min((count for count, _ in shape), default=0) < 1:
        raise GraphError("it makes a picture of no size")
    return [Value(tuple(shape), work=RESIZE_WORK * elements(shape))]


def grid_sample(call: Call) -> list[Value]:
    image, grid = call.input(0).shape, call.input(1).shape
    if len(image) != len(grid) or len(image) < 3:
        raise GraphError("its grid does not fit its image")
    shape = image[:2] + grid[1:-1]
    return [Value(shape, work=RESIZE_WORK * elements(shape))]


def recurrent(call: Call) -> list[Value]:
    """LSTM, GRU and RNN: (length, batch, features) -> all states, and the last of both kinds."""
    sequence, weights, recurrence = (call.input(i).shape for i in range(3))
    if len(sequence) != 3 or len(weights) != 3 or len(recurrence) != 3:
        raise GraphError("its input and weights have not three dimensions")
    if call.integer("layout", 0):
        raise GraphError("its batch stands first")
    length, batch, _ = sequence
    directions, hidden = weights[0], recurrence[2]
    inner = size_of(weights[2]) + size_of(hidden)
    states: Shape = (length, directions, batch, hidden)
    last: Shape = (directions, batch, hidden)
    work = MAX_GATES * elements(states) * inner
    return [Value(states, work=work), Value(last), Value(last)]


def _convolved(call: Call, image: Value, weights: Value) -> Value:
    _spatial_rank(image, weights)
    sizes = _windows(call, image, [fixed(dim) for dim in weights.shape[2:]])
    shape = (image.shape[0], weights.shape[0], *sizes)
    per_pixel = elements(weights.shape[1:])
    # onnxruntime may unfold one image at a time.
    return Value(shape, work=elements(shape) * per_pixel, scratch=elements(sizes) * per_pixel)


def _windows(call: Call, image: Value, kernel: list[int]) -> list[Dim]:
    """How many places a window of size `kernel` has on an image (N, C, …), per axis."""
    rank = len(kernel)
    strides = _positive(call.integers("strides", [1] * rank))
    dilations = _positive(call.integers("dilations", [1] * rank))
    pads = call.integers("pads", [0] * 2 * rank)
    auto = call.word("auto_pad", "NOTSET")
    rounds_up = call.integer("ceil_mode", 0)
    sizes: list[Dim] = []
    for i in range(rank):
        size = fixed(image.shape[2 + i])
        if auto.startswith("SAME"):
            sizes.append((-(-size // strides[i]), 0))
            continue
        added = 0 if auto == "VALID" else pads[i] + pads[i + rank]
        free = size + added - dilations[i] * (kernel[i] - 1) - 1
        if free < 0 or min(pads) < 0:
            raise GraphError("its window is larger than its image")
        steps = -(-free // strides[i]) if rounds_up else free // strides[i]
        sizes.append((steps + 1, 0))
    return sizes


def _spatial_rank(image: Value, weights: Value) -> int:
    if len(image.shape) != len(weights.shape) or len(image.shape) < 3:
        raise GraphError("its weights do not fit the shape of its image")
    return len(image.shape) - 2


def _positive(numbers: list[int]) -> list[int]:
    if numbers and min(numbers) < 1:
        raise GraphError("a stride, dilation or window of it is less than 1")
    return numbers


def _multiplied(first: Value, second: Value) -> Value:
    """matmul, by numpy's rules."""
    a, b = first.shape, second.shape
    if not a or not b:
        raise GraphError("its factors are single numbers")
    rows = a[-2:-1]
    columns = b[-1:] if len(b) > 1 else ()
    if a[-1] != (b[-2] if len(b) > 1 else b[0]):
        raise GraphError("shapes of its inputs do not fit each other")
    shape = broadcast((a[:-2], b[:-2])) + rows + columns
    return Value(shape, work=elements(shape) * size_of(a[-1]))


def _gemm(call: Call, first: Value, second: Value) -> Value:
    if len(first.shape) != 2 or len(second.shape) != 2:
        raise GraphError("its factors are no matrices")
    rows, inner = first.shape[::-1] if call.integer("transA", 0) else first.shape
    other, columns = second.shape[::-1] if call.integer("transB", 0) else second.shape
    if inner != other:
        raise GraphError("shapes of its inputs do not fit each other")
    return Value((rows, columns), work=elements((rows, columns, inner)))


def _scaled(dim: Dim, scale: Dim) -> Dim:
    factor = scale[0]
    if scale[1] or not math.isfinite(factor) or factor <= 0:
        raise GraphError("its scales are no positive numbers")
    if factor == 1:
        return dim
    return math.floor(fixed(dim) * factor), 0
