"""Shape functions of operators that compute element by element, and of reductions."""

from __future__ import annotations

from collections.abc import Callable

from vae_runtime.graphs.model import INT32, INT64
from vae_runtime.graphs.shapes import (
    MAX_COMPUTED,
    MAX_NUMBERS,
    ONE,
    Call,
    Dim,
    Value,
    broadcast,
    fixed,
    from_front,
    known_numbers,
    whole_numbers,
)
from vae_runtime.graphs.wire import GraphError


def same(call: Call) -> list[Value]:
    """The first input's shape."""
    return [Value(call.input(0).shape)]


def identity(call: Call) -> list[Value]:
    """The first input, its numbers included."""
    first = call.input(0)
    return [Value(first.shape, known_numbers(first))]


def cast(call: Call) -> list[Value]:
    """The first input, and its numbers where they stay the same."""
    first = call.input(0)
    numbers = known_numbers(first)
    is_wide = call.integer("to", 0) in (INT32, INT64)
    if numbers is None or not is_wide or not all(map(_is_small, numbers)):
        return [Value(first.shape)]
    return [Value(first.shape, numbers)]


def broadcasting(call: Call) -> list[Value]:
    """The common shape of all inputs, and of small constants the numbers."""
    values = [value for value in call.values if value is not None]
    if not values:
        raise GraphError("it has no inputs")
    expected = ARITY.get(call.node.operator)
    if expected is not None and len(values) != expected:
        raise GraphError(f"it has {len(values)} inputs instead of {expected}")
    shape = broadcast(value.shape for value in values)
    return [Value(shape, _computed(call.node.operator, values, shape))]


def batch_normalization(call: Call) -> list[Value]:
    if call.integer("training_mode", 0):
        raise GraphError("it is in training mode")
    return same(call)


def layer_normalization(call: Call) -> list[Value]:
    first = call.input(0)
    axis = call.axis(first, -1)
    statistics = first.shape[:axis] + (ONE,) * (len(first.shape) - axis)
    return [Value(first.shape), Value(statistics), Value(statistics)]


def dynamic_quantize(call: Call) -> list[Value]:
    return [Value(call.input(0).shape), Value(()), Value(())]


def reduction(call: Call) -> list[Value]:
    first = call.input(0)
    axes_input = call.optional(1)
    axes = call.integers("axes", [])
    if axes_input is not None:
        axes = whole_numbers(axes_input, "list of axes")
    if not axes and call.integer("noop_with_empty_axes", 0):
        return [Value(first.shape)]
    rank = len(first.shape)
    reduced = {from_front(axis, rank) for axis in axes} or set(range(rank))
    return [_reduced(first, reduced, call.integer("keepdims", 1) != 0)]


def arg_reduction(call: Call) -> list[Value]:
    first = call.input(0)
    return [_reduced(first, {call.axis(first, 0)}, call.integer("keepdims", 1) != 0)]


def top_k(call: Call) -> list[Value]:
    first = call.input(0)
    axis = call.axis(first, -1)
    (count,) = whole_numbers(call.input(1), "number of values")[:1] or [0]
    if not 1 <= count <= fixed(first.shape[axis]):
        raise GraphError(f"it takes the first {count} of {first.shape[axis][0]} values")
    shape = (*first.shape[:axis], (count, 0), *first.shape[axis + 1 :])
    return [Value(shape), Value(shape)]


def _reduced(value: Value, axes: set[int], keeps: bool) -> Value:
    shape: list[Dim] = []
    for i, dim in enumerate(value.shape):
        if i not in axes:
            shape.append(dim)
        elif keeps:
            shape.append(ONE)
    return Value(tuple(shape))


def _computed(operator: str, values: list[Value], shape: tuple[Dim, ...]) -> list[Dim] | None:
    """The numbers that come out where all that go in are known, and a shape may be made of them."""
    if operator not in ARITHMETIC or len(shape) > 1:
        return None
    columns = []
    for value in values:
        numbers = known_numbers(value)
        if numbers is None:
            return None
        columns.append(numbers)
    longest = max(map(len, columns))
    if longest > MAX_NUMBERS:
        return None
    computed = []
    for i in range(longest):
        operands = [column[i % len(column)] for column in columns if column]
        if len(operands) != len(columns) or not all(map(_is_small, operands)):
            return None
        number = ARITHMETIC[operator](operands)
        if number is None:
            return None
        computed.append(number)
    return computed


def _is_small(number: Dim) -> bool:
    """Whether it is a whole number that cannot have wrapped around."""
    return isinstance(number[0], int) and -MAX_COMPUTED <= number[0] <= MAX_COMPUTED


def _sum(operands: list[Dim]) -> Dim | None:
    total, *others = operands
    for other in others:
        if not other[0]:
            continue
        if total[0] and total[1] != other[1]:
            return None
        total = (total[0] + other[0], other[1])
    return total


def _difference(operands: list[Dim]) -> Dim | None:
    first, second = operands
    return _sum([first, (-second[0], second[1])])


def _product(operands: list[Dim]) -> Dim | None:
    first, second = operands
    return first[0] * second[0], first[1] + second[1]


def _ratio(operands: list[Dim]) -> Dim | None:
    """Whole numbers are divided without a remainder, or, where the batch is in them, not at all."""
    first, second = operands
    if not second[0] or first[1] < second[1]:
        return None
    power = first[1] - second[1]
    if first[0] % second[0] and (power or first[0] < 0 or second[0] < 0):
        return None
    return first[0] // second[0], power


def _equality(operands: list[Dim]) -> Dim | None:
    first, second = operands
    if first[1] == second[1]:
        return int(first[0] == second[0]), 0
    # A batch, at least 1, is no negative number; beside a positive one nobody knows.
    fixed_one = first if not first[1] else second
    return (0, 0) if fixed_one[0] < 0 and not fixed_one[1] else None


def _choice(operands: list[Dim]) -> Dim | None:
    condition, yes, no = operands
    return yes if condition[0] else no


ARITHMETIC: dict[str, Callable[[list[Dim]], Dim | None]] = {
    "Add": _sum,
    "Sub": _difference,
    "Mul": _product,
    "Div": _ratio,
    "Equal": _equality,
    "Where": _choice,
}
ARITY = {"Add": 2, "Sub": 2, "Mul": 2, "Div": 2, "Equal": 2, "Where": 3}
