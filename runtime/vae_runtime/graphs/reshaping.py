"""Shape functions of operators that make, move, cut and join tensors."""

from __future__ import annotations

from vae_runtime.graphs.model import Tensor
from vae_runtime.graphs.shapes import (
    MAX_NUMBERS,
    ONE,
    Call,
    Dim,
    Shape,
    Value,
    broadcast,
    elements,
    fixed,
    from_front,
    known_numbers,
    product,
    quotient,
    sizes_in,
    whole_numbers,
)
from vae_runtime.graphs.wire import GraphError


def constant(call: Call) -> list[Value]:
    attributes = call.node.attributes
    tensor = attributes.get("value")
    if isinstance(tensor, Tensor):
        return [Value(tuple((size, 0) for size in tensor.shape), constant=tensor)]
    for name in ("value_int", "value_float"):
        number = attributes.get(name)
        if isinstance(number, int | float):
            return [Value((), [(number, 0)])]
    for name in ("value_ints", "value_floats"):
        numbers = attributes.get(name)
        if isinstance(numbers, list):
            return [Value(((len(numbers), 0),), [(number, 0) for number in numbers])]
    raise GraphError("it has no value")


def constant_of_shape(call: Call) -> list[Value]:
    shape = tuple(sizes_in(call.input(0), "shape"))
    fill = call.node.attributes.get("value")
    number = fill.numbers()[:1] if isinstance(fill, Tensor) and fill.shape in ((), (1,)) else [0]
    if len(shape) != 1 or shape[0][1] or not 0 <= shape[0][0] <= MAX_NUMBERS:
        return [Value(shape)]
    return [Value(shape, [(number[0], 0)] * int(shape[0][0]))]


def shape_of(call: Call) -> list[Value]:
    shape = call.input(0).shape
    end = call.integer("end", len(shape))
    part = shape[call.integer("start", 0) : end]
    return [Value(((len(part), 0),), list(part))]


def size_of_all(call: Call) -> list[Value]:
    return [Value((), [product(call.input(0).shape)])]


def value_range(call: Call) -> list[Value]:
    limits = []
    for i in range(3):
        limits += sizes_in(call.input(i), "range")[:1]
    if len(limits) != 3:
        raise GraphError("its range is empty")
    start, end, step = limits
    if start[0] == 0 and step == ONE:
        return [Value((end,))]
    if any(power for _, power in limits) or not step[0]:
        raise GraphError("its range depends on more than the size of the batch")
    return [Value(((len(range(fixed(start), fixed(end), fixed(step))), 0),))]


def reshape(call: Call) -> list[Value]:
    first = call.input(0)
    wanted = sizes_in(call.input(1), "shape")
    shape: list[Dim] = []
    open_axis = None
    for i, dim in enumerate(wanted):
        if dim == (-1, 0) and open_axis is None:
            open_axis = i
            shape.append(ONE)
        elif not dim[0] and not call.integer("allowzero", 0):
            shape.append(first.shape[from_front(i, len(first.shape))])
        else:
            shape.append(dim)
    total = product(first.shape)
    if open_axis is not None and total[0]:
        shape[open_axis] = quotient(total, product(shape))
    if product(shape) != total:
        raise GraphError("it makes another number of elements")
    return [Value(tuple(shape), known_numbers(first) if len(shape) <= 1 else None)]


def flatten(call: Call) -> list[Value]:
    shape = call.input(0).shape
    axis = call.integer("axis", 1)
    axis = axis + len(shape) if axis < 0 else axis
    return [Value((product(shape[:axis]), product(shape[axis:])))]


def squeeze(call: Call) -> list[Value]:
    first = call.input(0)
    axes_input = call.optional(1)
    rank = len(first.shape)
    axes = {i for i, dim in enumerate(first.shape) if dim == ONE}
    if axes_input is not None:
        axes = {from_front(axis, rank) for axis in whole_numbers(axes_input, "list of axes")}
    shape: list[Dim] = []
    for i, dim in enumerate(first.shape):
        if i not in axes:
            shape.append(dim)
        elif dim != ONE:
            raise GraphError("it squeezes a dimension that isn't 1")
    return [Value(tuple(shape), known_numbers(first))]


def unsqueeze(call: Call) -> list[Value]:
    first = call.input(0)
    axes = whole_numbers(call.input(1), "list of axes")
    rank = len(first.shape) + len(axes)
    new = {from_front(axis, rank) for axis in axes}
    if len(new) != len(axes):
        raise GraphError("its list of axes has one twice")
    old = iter(first.shape)
    shape = tuple(ONE if i in new else next(old) for i in range(rank))
    return [Value(shape, known_numbers(first) if rank <= 1 else None)]


def transpose(call: Call) -> list[Value]:
    shape = call.input(0).shape
    order = call.integers("perm", list(range(len(shape)))[::-1])
    if sorted(order) != list(range(len(shape))):
        raise GraphError("its perm is no order of the dimensions")
    return [Value(tuple(shape[axis] for axis in order))]


def concat(call: Call) -> list[Value]:
    values = [call.input(i) for i in range(len(call.values))]
    first = call.input(0)
    axis = call.axis(first, 0)
    numbers: list[Dim] | None = []
    total: Dim = (0, 0)
    for value in values:
        if len(value.shape) != len(first.shape):
            raise GraphError("shapes of its inputs do not fit each other")
        total = _longer(total, value.shape[axis])
        known = known_numbers(value) if len(value.shape) == 1 else None
        numbers = None if known is None or numbers is None else numbers + known
    if numbers is not None and len(numbers) > MAX_NUMBERS:
        numbers = None
    return [Value((*first.shape[:axis], total, *first.shape[axis + 1 :]), numbers)]


def split(call: Call) -> list[Value]:
    first = call.input(0)
    axis = call.axis(first, 0)
    whole = fixed(first.shape[axis])
    sizes_input = call.optional(1)
    count = len(call.node.outputs)
    if sizes_input is not None:
        sizes = whole_numbers(sizes_input, "sizes")
    else:
        part = -(-whole // count)
        sizes = [part] * (count - 1) + [whole - part * (count - 1)]
    if len(sizes) != count or sum(sizes) != whole or min(sizes) < 0:
        raise GraphError("its parts do not fit the whole")
    before, after = first.shape[:axis], first.shape[axis + 1 :]
    return [Value((*before, (size, 0), *after)) for size in sizes]


def slice_(call: Call) -> list[Value]:
    first = call.input(0)
    shape = list(first.shape)
    starts = sizes_in(call.input(1), "start")
    ends = sizes_in(call.input(2), "end")
    axes_input, steps_input = call.optional(3), call.optional(4)
    axes = list(range(len(starts)))
    if axes_input is not None:
        axes = whole_numbers(axes_input, "list of axes")
    steps = [1] * len(starts)
    if steps_input is not None:
        steps = whole_numbers(steps_input, "step")
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise GraphError("its starts, ends, axes and steps are not as many")
    numbers = known_numbers(first) if len(shape) == 1 else None
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        place = from_front(axis, len(shape))
        if _is_everything(start, end, step, shape[place]):
            continue
        if not step:
            raise GraphError("its step is 0")
        taken = range(fixed(shape[place]))[slice(fixed(start), fixed(end), step)]
        shape[place] = (len(taken), 0)
        numbers = None if numbers is None else [numbers[i] for i in taken]
    return [Value(tuple(shape), numbers)]


def expand(call: Call) -> list[Value]:
    wanted = tuple(sizes_in(call.input(1), "shape"))
    return [Value(broadcast((call.input(0).shape, wanted)))]


def tile(call: Call) -> list[Value]:
    shape = call.input(0).shape
    repeats = sizes_in(call.input(1), "repeats")
    if len(repeats) != len(shape):
        raise GraphError("its repeats are not one for each dimension")
    return [Value(tuple(product(pair) for pair in zip(shape, repeats, strict=True)))]


def pad(call: Call) -> list[Value]:
    shape = list(call.input(0).shape)
    pads = whole_numbers(call.input(1), "padding")
    axes_input = call.optional(3)
    axes = list(range(len(shape)))
    if axes_input is not None:
        axes = whole_numbers(axes_input, "list of axes")
    if len(pads) != 2 * len(axes):
        raise GraphError("its padding is not two numbers for each dimension")
    for i, axis in enumerate(axes):
        added = pads[i] + pads[i + len(axes)]
        place = from_front(axis, len(shape))
        if pads[i] or pads[i + len(axes)]:
            shape[place] = (fixed(shape[place]) + added, 0)
    return [Value(tuple(shape))]


def gather(call: Call) -> list[Value]:
    first, indices = call.input(0), call.input(1)
    axis = call.axis(first, 0)
    shape = first.shape[:axis] + indices.shape + first.shape[axis + 1 :]
    source = known_numbers(first) if len(first.shape) == 1 else None
    chosen = known_numbers(indices) if len(indices.shape) <= 1 else None
    if source is None or chosen is None:
        return [Value(shape)]
    numbers = [source[from_front(fixed(index), len(source))] for index in chosen]
    return [Value(shape, numbers)]


def gather_elements(call: Call) -> list[Value]:
    return [Value(call.input(1).shape)]


def gather_nd(call: Call) -> list[Value]:
    data, indices = call.input(0).shape, call.input(1).shape
    batches = call.integer("batch_dims", 0)
    if not indices or not 0 <= batches < len(indices):
        raise GraphError("its indices have too few dimensions")
    depth = batches + fixed(indices[-1])
    if depth > len(data):
        raise GraphError("its indices are longer than the shape that they point into")
    return [Value(indices[:-1] + data[depth:])]


def one_hot(call: Call) -> list[Value]:
    shape = call.input(0).shape
    depth = whole_numbers(call.input(1), "depth")[:1]
    axis = from_front(call.integer("axis", -1), len(shape) + 1)
    if not depth:
        raise GraphError("its depth is missing")
    return [Value((*shape[:axis], (depth[0], 0), *shape[axis:]))]


def depth_to_space(call: Call) -> list[Value]:
    n, channels, height, width = _four(call)
    block = (call.integer("blocksize", 0), 0)
    larger = (product((height, block)), product((width, block)))
    return [Value((n, quotient(channels, product((block, block))), *larger))]


def space_to_depth(call: Call) -> list[Value]:
    n, channels, height, width = _four(call)
    block = (call.integer("blocksize", 0), 0)
    smaller = (quotient(height, block), quotient(width, block))
    return [Value((n, product((channels, block, block)), *smaller))]


def _four(call: Call) -> Shape:
    shape = call.input(0).shape
    if len(shape) != 4:
        raise GraphError("its input has not four dimensions")
    return shape


def _longer(total: Dim, added: Dim) -> Dim:
    if not total[0] or not added[0]:
        return added if not total[0] else total
    if total[1] != added[1]:
        raise GraphError("it joins images with what is no image")
    return total[0] + added[0], total[1]


def _is_everything(start: Dim, end: Dim, step: int, dim: Dim) -> bool:
    """Whether a slice leaves a dimension as it is."""
    if start[0] != 0 or step != 1:
        return False
    # Exporters write the largest number that there is for the end.
    return end == dim or (not end[1] and end[0] >= elements([dim]) and end[0] >= 1 << 30)
