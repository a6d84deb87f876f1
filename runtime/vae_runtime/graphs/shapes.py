"""Shapes that grow with the batch, and what a shape function sees of a node.

A dimension is `count · batch**power`. No graph of a bundle needs more, and of such shapes it is
known how large they get: that of the largest batch is the largest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vae_runtime.graphs.model import MAX_DIMENSION, MAX_RANK, Node, Tensor
from vae_runtime.graphs.wire import GraphError

# What sizes are reckoned for: the images that a session takes at once on a CPU.
BATCH = 16
# Elements of a constant that may say something of a shape.
MAX_NUMBERS = 64
# Beyond it a number that is computed may have wrapped around in onnxruntime.
MAX_COMPUTED = (1 << 31) - 1

Number = int | float
Dim = tuple[Number, int]
"""A count and the power of the batch that it is multiplied by."""
Shape = tuple[Dim, ...]

ONE: Dim = (1, 0)


class Value:
    """What is known of a tensor: its shape, and for small constants the numbers in it.

    Making it takes `work` multiplications for a batch of BATCH, None for one per element, and
    `scratch` elements of memory meanwhile.
    """

    __slots__ = ("constant", "numbers", "scratch", "shape", "work")

    def __init__(
        self,
        shape: Shape,
        numbers: list[Dim] | None = None,
        constant: Tensor | None = None,
        work: int | None = None,
        scratch: int = 0,
    ) -> None:
        self.shape = shape
        self.numbers = numbers
        self.constant = constant
        self.work = work
        self.scratch = scratch


class Call:
    """A node with what is known of its inputs; its accessors raise GraphError."""

    __slots__ = ("node", "values")

    def __init__(self, node: Node, values: Sequence[Value | None]) -> None:
        self.node = node
        self.values = values

    def optional(self, index: int) -> Value | None:
        """The input at `index`, None where it is left out."""
        return self.values[index] if index < len(self.values) else None

    def input(self, index: int) -> Value:
        value = self.optional(index)
        if value is None:
            raise GraphError(f"its input {index} is missing")
        return value

    def integer(self, name: str, default: int) -> int:
        value = self.node.attributes.get(name, default)
        if not isinstance(value, int):
            raise GraphError(f"its attribute {name!r} is no whole number")
        return value

    def integers(self, name: str, default: list[int]) -> list[int]:
        """A list of whole numbers, which has as many as `default` where that isn't empty."""
        values = self.node.attributes.get(name, default)
        if not isinstance(values, list) or not all(isinstance(value, int) for value in values):
            raise GraphError(f"its attribute {name!r} is no list of whole numbers")
        if default and len(values) != len(default):
            raise GraphError(f"its attribute {name!r} has {len(values)} numbers")
        return values

    def word(self, name: str, default: str) -> str:
        value = self.node.attributes.get(name, default)
        if not isinstance(value, str):
            raise GraphError(f"its attribute {name!r} is no word")
        return value

    def axis(self, value: Value, default: int) -> int:
        """The attribute `axis`, counted from the front."""
        return from_front(self.integer("axis", default), len(value.shape))


def size_of(dim: Dim) -> int:
    """A dimension for a batch of BATCH."""
    grown: int = int(dim[0]) * BATCH ** dim[1]
    return grown


def elements(shape: Iterable[Dim]) -> int:
    """How many elements a tensor has for a batch of BATCH."""
    # A loop takes half the time of math.prod and a generator.
    total = 1
    for count, power in shape:
        total *= int(count) * BATCH**power
    return total


def product(dims: Iterable[Dim]) -> Dim:
    count: Number = 1
    power = 0
    for dim in dims:
        count *= dim[0]
        power += dim[1]
    return count, power


def quotient(total: Dim, part: Dim) -> Dim:
    """`total / part`, which must be a dimension again."""
    if not part[0] or total[0] % part[0] or total[1] < part[1]:
        raise GraphError("a shape does not divide evenly")
    return total[0] // part[0], total[1] - part[1]


def fixed(dim: Dim) -> int:
    """A dimension that doesn't grow with the batch."""
    if not isinstance(dim[0], int):
        raise GraphError(f"a size of it is {dim[0]:g}")
    if dim[1]:
        raise GraphError("it computes across the images of a batch")
    return int(dim[0])


def from_front(axis: int, rank: int) -> int:
    """An axis counted from the front."""
    counted = axis + rank if axis < 0 else axis
    if not 0 <= counted < rank:
        raise GraphError(f"axis {axis} does not exist in {rank} dimensions")
    return counted


def broadcast(shapes: Iterable[Shape]) -> Shape:
    """The shape that several have in common, by numpy's rules."""
    result: list[Dim] = []
    for shape in shapes:
        missing = len(shape) - len(result)
        if missing > 0:
            result = [ONE] * missing + result
        first = len(result) - len(shape)
        for i, dim in enumerate(shape, first):
            if result[i] == ONE:
                result[i] = dim
            elif dim not in (ONE, result[i]):
                raise GraphError("shapes of its inputs do not fit each other")
    return tuple(result)


def numbers_in(value: Value, what: str) -> list[Dim]:
    """The numbers of a constant that makes a shape. Raises GraphError where they aren't known."""
    found = known_numbers(value)
    if found is None:
        raise GraphError(f"its {what} depends on more than the size of the batch")
    return found


def known_numbers(value: Value) -> list[Dim] | None:
    """The numbers in a small constant, or None."""
    if value.numbers is not None or value.constant is None:
        return value.numbers
    if elements(value.shape) > MAX_NUMBERS:
        return None
    return [(number, 0) for number in value.constant.numbers()]


def sizes_in(value: Value, what: str) -> list[Dim]:
    """The same, where they are whole numbers or grow with the batch."""
    found = numbers_in(value, what)
    for count, _ in found:
        if not isinstance(count, int):
            raise GraphError(f"its {what} has {count:g} in it")
    return found


def whole_numbers(value: Value, what: str) -> list[int]:
    """The same, as whole numbers that don't grow with the batch."""
    return [fixed(number) for number in numbers_in(value, what)]


def require_shape(shape: Shape) -> Shape:
    """The shape, if a tensor can have it."""
    if len(shape) > MAX_RANK:
        raise GraphError(f"it makes {len(shape)} dimensions, more than {MAX_RANK}")
    for count, power in shape:
        if not 0 <= count <= MAX_DIMENSION or power > 2 or not isinstance(count, int):
            raise GraphError(f"it makes a dimension of {count:g}")
    return shape
