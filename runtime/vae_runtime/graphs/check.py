"""May this graph run? Its operators, its shapes, and what it takes of memory and time.

The shapes of all its tensors are worked out before onnxruntime sees a byte, so a graph that would
fill the memory, never end, or give something else than was promised is refused for what it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from vae_runtime.graphs.model import FLOAT, Graph, Node, Port, read_graph
from vae_runtime.graphs.operators import OPERATORS
from vae_runtime.graphs.shapes import (
    Call,
    Dim,
    Shape,
    Value,
    elements,
    require_shape,
    size_of,
)
from vae_runtime.graphs.wire import GraphError

# Shape functions follow these versions of ONNX's operators.
MIN_OPSET, MAX_OPSET = 18, 22
# Of one node; a Concat of many parts has the most.
MAX_INPUTS = 1000
# Limits for a batch of BATCH images: so many elements and multiplications for any network, and
# so many more for each element of its inputs and outputs. A picture of 28×28 may take 0.6 GB and
# some seconds; Stable Diffusion's decoder, the largest that people export, is within a third.
ELEMENTS, ELEMENTS_PER_ELEMENT = 1 << 27, 1 << 10
MULTIPLICATIONS, MULTIPLICATIONS_PER_ELEMENT = 1 << 35, 1 << 22
# What they give is known before the graph runs.
SHAPE_OPERATORS = {"Shape", "Size"}

Sizes = Mapping[str, tuple[int, ...]]
"""Names of inputs or outputs, with their shapes without the batch."""
PortShape = tuple[int | str, ...]
"""A shape as a graph says it: a word where a dimension is dynamic."""


def check_graph(
    model_bytes: bytes,
    inputs: Sizes,
    outputs: Sizes,
    *,
    any_size: bool = False,
    batch: int | None = None,
) -> None:
    """Raise GraphError unless a graph is of the published operators, within all limits, and takes
    and gives float32 of the shapes promised, with a batch in front.

    The height and width of a graph for images of `any_size` must be dynamic, and it is reckoned
    with those promised. A graph of a fixed `batch` takes and gives so many images, no others.
    """
    graph = read_graph(model_bytes)
    _require_opsets(graph.opsets)
    outer = _outer_shape if any_size else _same_shape
    first = "batch" if batch is None else batch
    _require_ports(graph.inputs, _with_batch(inputs, first, outer), "input", graph.initializers)
    _require_ports(graph.outputs, _with_batch(outputs, first, outer), "output", {})
    images: Dim = (1, 1) if batch is None else (batch, 0)
    allowance = _promised_elements(inputs, images) + _promised_elements(outputs, images)
    values = _initial_values(graph, inputs, images)
    _Reckoning(graph, values, size_of(images), allowance).run()
    for name, shape in outputs.items():
        found = values[name].shape if name in values else None
        if found != _batch_of(shape, images):
            raise GraphError(f"it computes another shape for {name!r} than ({first}, {shape})")


class _Reckoning:
    """Goes through a graph as onnxruntime will, and adds up what lives at once."""

    def __init__(self, graph: Graph, values: dict[str, Value], batch: int, allowance: int) -> None:
        self.graph = graph
        self.values = values
        # What is computed from the inputs, not from constants and shapes alone.
        self.varying = {port.name for port in graph.inputs}
        self.batch = batch
        self.max_elements = ELEMENTS + ELEMENTS_PER_ELEMENT * allowance
        self.max_work = MULTIPLICATIONS + MULTIPLICATIONS_PER_ELEMENT * allowance
        self.living = 0
        self.work = 0
        self.last_use = {}
        for i, node in enumerate(graph.nodes):
            for name in node.inputs:
                self.last_use[name] = i

    def run(self) -> None:
        for i, node in enumerate(self.graph.nodes):
            try:
                self._compute(node)
            except GraphError as error:
                name = f"{node.domain}.{node.operator}" if node.domain else node.operator
                raise GraphError(f"its node {i}, {name!r}: {error}") from None
            self._free(i, node)

    def _compute(self, node: Node) -> None:
        function = OPERATORS.get(node.domain, {}).get(node.operator)
        if function is None:
            raise GraphError("an operator that bundles may not use")
        if len(node.inputs) > MAX_INPUTS:
            raise GraphError(f"{len(node.inputs)} inputs, more than {MAX_INPUTS}")
        results = function(Call(node, [self._value(name) for name in node.inputs]))
        if not 1 <= len(node.outputs) <= len(results):
            raise GraphError(f"{len(node.outputs)} outputs")
        for name, value in zip(node.outputs, results, strict=False):
            self._add(name, value)
        if node.operator not in SHAPE_OPERATORS and not self.varying.isdisjoint(node.inputs):
            self.varying.update(filter(None, node.outputs))

    def _value(self, name: str) -> Value | None:
        if not name:
            return None
        if name not in self.values:
            raise GraphError(f"nothing before it gives {name!r}")
        return self.values[name]

    def _add(self, name: str, value: Value) -> None:
        if name in self.values:
            raise GraphError(f"{name!r} is computed twice")
        count = elements(require_shape(value.shape))
        self.living += count
        self.work += count if value.work is None else value.work
        needed = self.living + value.scratch
        if needed > self.max_elements:
            raise GraphError(
                f"{needed} numbers would be in memory for a batch of {self.batch}, more than the "
                f"{self.max_elements} that a model with images of this size may take"
            )
        if self.work > self.max_work:
            raise GraphError(
                f"it takes more than the {self.max_work} multiplications that a model with images "
                f"of this size may take for a batch of {self.batch}"
            )
        if name:
            self.values[name] = value

    def _free(self, index: int, node: Node) -> None:
        """Let go of what no later node takes; what onnxruntime computes only once, stays."""
        for name in {*node.inputs, *node.outputs}:
            value = self.values.get(name)
            # Constants stay, and are the most frequent.
            if value is None or value.constant is not None:
                continue
            is_last = self.last_use.get(name, index) == index
            is_computed_anew = name in self.varying or any(power for _, power in value.shape)
            if is_last and is_computed_anew:
                self.living -= elements(value.shape)


def _initial_values(graph: Graph, inputs: Sizes, images: Dim) -> dict[str, Value]:
    values = {}
    for name, tensor in graph.initializers.items():
        values[name] = Value(tuple((size, 0) for size in tensor.shape), constant=tensor)
    for name, shape in inputs.items():
        values[name] = Value(_batch_of(shape, images))
    return values


def _require_opsets(opsets: Mapping[str, int]) -> None:
    for domain, version in opsets.items():
        if domain not in OPERATORS:
            raise GraphError(f"it uses operators of the domain {domain!r}")
        if not domain and not MIN_OPSET <= version <= MAX_OPSET:
            raise GraphError(f"its opset is {version}; {MIN_OPSET} to {MAX_OPSET} are read")
    if "" not in opsets:
        raise GraphError("it doesn't say which opset it uses")


def _require_ports(
    found: list[Port],
    promised: Mapping[str, PortShape],
    kind: str,
    initializers: Mapping[str, object],
) -> None:
    """Raise GraphError unless a graph's inputs or outputs are those that bundle.json promises."""
    present = ", ".join(f"{port.name} {list(port.shape)}" for port in found[: len(promised) + 2])
    for name, shape in promised.items():
        matching = [port for port in found if port.name == name]
        if len(matching) != 1 or not _is_float(matching[0], shape) or name in initializers:
            wanted = ", ".join(map(str, shape))
            raise GraphError(f"its {kind} {name!r} should be float32 ({wanted}); it has {present}")
    if len(found) != len(promised):
        raise GraphError(f"it has further {kind}s: {present}")


def _is_float(port: Port, shape: PortShape) -> bool:
    """Whether an input or output is float32 of this shape, dynamic where it has a word."""
    if port.element_type != FLOAT or len(port.shape) != len(shape):
        return False
    for found, wanted in zip(port.shape, shape, strict=True):
        is_right = isinstance(found, str) if isinstance(wanted, str) else found == wanted
        if not is_right:
            return False
    return True


def _with_batch(
    promised: Sizes, batch: int | str, outer: Callable[[tuple[int, ...]], PortShape]
) -> dict[str, PortShape]:
    """The shapes as the graph is to say them."""
    return {name: (batch, *outer(shape)) for name, shape in promised.items()}


def _same_shape(shape: tuple[int, ...]) -> PortShape:
    return shape


def _outer_shape(shape: tuple[int, ...]) -> PortShape:
    """What a graph for images of any size says of the shape (C, height, width)."""
    return shape[0], "height", "width"


def _batch_of(shape: tuple[int, ...], images: Dim) -> Shape:
    return (images, *((size, 0) for size in shape))


def _promised_elements(sizes: Sizes, images: Dim) -> int:
    return sum(elements(_batch_of(shape, images)) for shape in sizes.values())
