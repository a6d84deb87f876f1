"""ONNX's messages as plain records: nodes, initializers, inputs and outputs.

Source: onnx.proto of ONNX 1.18. What a graph that computes on tensors doesn't need has no place in
the tables, so it is refused: functions, training, sub-graphs, sequences, strings, sparse tensors,
and data in other files.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from vae_runtime.graphs.wire import (
    BYTES,
    FIXED32,
    VARINT,
    GraphError,
    View,
    count_numbers,
    floats,
    read_message,
    varints,
)

MAX_NODES = 10_000
MAX_INITIALIZERS = 20_000
# Bytes of all nodes together: their names, attributes and small constants.
MAX_NODE_BYTES = 4 << 20
# Bytes; torch's names hold the path of a module.
MAX_NAME = 1000
MAX_RANK = 8
# Elements of a dimension, so that no product of a shape is a number of absurd length.
MAX_DIMENSION = 1 << 31

# TensorProto.DataType: numpy's type of each; strings and complex numbers aren't there.
FLOAT, INT8, INT32, INT64, DOUBLE = 1, 3, 6, 7, 11
ELEMENT_TYPES = {
    FLOAT: "<f4",
    2: "u1",
    INT8: "i1",
    4: "<u2",
    5: "<i2",
    INT32: "<i4",
    INT64: "<i8",
    9: "?",
    10: "<f2",
    DOUBLE: "<f8",
    12: "<u4",
    13: "<u8",
    16: "<u2",  # bfloat16, whose numbers nobody here looks at
}
ITEM_BYTES = {kind: np.dtype(name).itemsize for kind, name in ELEMENT_TYPES.items()}

# Each message: the wire type of the fields that it may have.
MODEL = {
    1: VARINT,
    2: BYTES,
    3: BYTES,
    4: BYTES,
    5: VARINT,
    6: BYTES,
    7: BYTES,
    8: BYTES,
    14: BYTES,
}
GRAPH = {1: BYTES, 2: BYTES, 5: BYTES, 10: BYTES, 11: BYTES, 12: BYTES, 13: BYTES, 16: BYTES}
NODE = {1: BYTES, 2: BYTES, 3: BYTES, 4: BYTES, 5: BYTES, 6: BYTES, 7: BYTES, 9: BYTES}
ATTRIBUTE = {
    1: BYTES, 2: FIXED32, 3: VARINT, 4: BYTES, 5: BYTES, 7: FIXED32, 8: VARINT, 9: BYTES,
    13: BYTES, 20: VARINT,
}  # fmt: skip
TENSOR = {
    1: VARINT, 2: VARINT, 4: FIXED32, 5: VARINT, 7: VARINT, 8: BYTES, 9: BYTES, 12: BYTES,
    14: VARINT, 16: BYTES,
}  # fmt: skip
VALUE_INFO = {1: BYTES, 2: BYTES, 3: BYTES, 4: BYTES}
TYPE = {1: BYTES, 6: BYTES}
TENSOR_TYPE = {1: VARINT, 2: BYTES}
SHAPE = {1: BYTES}
DIMENSION = {1: VARINT, 2: BYTES, 3: BYTES}
OPSET = {1: BYTES, 2: VARINT}

REPEATED_IN_MODEL = frozenset({8, 14})
REPEATED_IN_GRAPH = frozenset({1, 5, 11, 12, 13, 16})
REPEATED_IN_NODE = frozenset({1, 2, 5, 9})
REPEATED_IN_ATTRIBUTE = frozenset({7, 8, 9})
REPEATED_IN_TENSOR = frozenset({1, 4, 5, 7, 16})
ONCE = frozenset[int]()

# AttributeProto.AttributeType: the field that holds the value; graphs, tensors in lists, sparse
# tensors and types have none.
A_FLOAT, AN_INT, A_STRING, A_TENSOR, FLOATS, INTS, STRINGS = 1, 2, 3, 4, 6, 7, 8
ATTRIBUTE_FIELDS = {A_FLOAT: 2, AN_INT: 3, A_STRING: 4, A_TENSOR: 5, FLOATS: 7, INTS: 8, STRINGS: 9}
# The field of a tensor that holds its numbers where they aren't raw bytes, by element type.
DATA_FIELDS = {FLOAT: 4, INT64: 7}
SMALL_INTEGERS = 5


# The records are plain classes: named tuples and dataclasses take ten times as long to be made, and
# a picture of an untouched model has milliseconds to start in.


class Tensor:
    """A constant: element type, shape, and its data, which stays where it lies in the file."""

    __slots__ = ("element_type", "raw", "shape", "typed")

    def __init__(
        self, element_type: int, shape: tuple[int, ...], raw: View | None, typed: list[Any]
    ) -> None:
        self.element_type = element_type
        self.shape = shape
        self.raw = raw
        self.typed = typed

    def numbers(self) -> list[Any]:
        """Its elements, as Python's numbers."""
        if self.raw is not None:
            return list(np.frombuffer(self.raw, ELEMENT_TYPES[self.element_type]).tolist())
        return list(floats(self.typed) if self.element_type == FLOAT else varints(self.typed))


class Node:
    """One operator at work."""

    __slots__ = ("attributes", "domain", "inputs", "operator", "outputs")

    def __init__(
        self,
        domain: str,
        operator: str,
        inputs: list[str],
        outputs: list[str],
        attributes: Mapping[str, Any],
    ) -> None:
        self.domain = domain
        self.operator = operator
        self.inputs = inputs
        self.outputs = outputs
        self.attributes = attributes


class Port:
    """An input or output of the graph: its shape's names and sizes."""

    __slots__ = ("element_type", "name", "shape")

    def __init__(self, name: str, element_type: int, shape: tuple[int | str, ...]) -> None:
        self.name = name
        self.element_type = element_type
        self.shape = shape


class Graph:
    """What a file holds."""

    __slots__ = ("initializers", "inputs", "nodes", "opsets", "outputs")

    def __init__(
        self,
        opsets: Mapping[str, int],
        nodes: list[Node],
        initializers: Mapping[str, Tensor],
        inputs: list[Port],
        outputs: list[Port],
    ) -> None:
        self.opsets = opsets
        self.nodes = nodes
        self.initializers = initializers
        self.inputs = inputs
        self.outputs = outputs


def read_graph(model_bytes: bytes) -> Graph:
    """The graph in an ONNX file. Raises GraphError for anything that is no plain graph."""
    model = read_message(memoryview(model_bytes), MODEL, REPEATED_IN_MODEL)
    if 7 not in model:
        raise GraphError("there is no graph in it")
    opsets: dict[str, int] = {}
    for view in model.get(8, []):
        opset = read_message(view, OPSET, ONCE)
        opsets[_string(opset, 1)] = opset.get(2, [0])[0]
    graph = read_message(model[7][0], GRAPH, REPEATED_IN_GRAPH)
    node_views = graph.get(1, [])
    initializer_views = graph.get(5, [])
    if len(node_views) > MAX_NODES:
        raise GraphError(f"{len(node_views)} nodes are more than {MAX_NODES}")
    if len(initializer_views) > MAX_INITIALIZERS:
        raise GraphError(f"{len(initializer_views)} initializers are more than {MAX_INITIALIZERS}")
    if sum(map(len, node_views)) > MAX_NODE_BYTES:
        raise GraphError(f"its nodes have more than {MAX_NODE_BYTES} bytes")
    initializers: dict[str, Tensor] = {}
    for view in initializer_views:
        name, tensor = _tensor(view)
        if name in initializers:
            raise GraphError(f"the initializer {name!r} is there twice")
        initializers[name] = tensor
    return Graph(
        opsets=opsets,
        nodes=[_node(view) for view in node_views],
        initializers=initializers,
        inputs=[_port(view) for view in graph.get(11, [])],
        outputs=[_port(view) for view in graph.get(12, [])],
    )


def _node(view: View) -> Node:
    message = read_message(view, NODE, REPEATED_IN_NODE)
    attributes: dict[str, Any] = {}
    for field in message.get(5, []):
        name, value = _attribute(field)
        if name in attributes:
            raise GraphError(f"the attribute {name!r} is there twice")
        attributes[name] = value
    # onnxruntime quotes it in its errors.
    _string(message, 3)
    return Node(
        domain=_string(message, 7),
        operator=_string(message, 4),
        inputs=[_name(name) for name in message.get(1, [])],
        outputs=[_name(name) for name in message.get(2, [])],
        attributes=attributes,
    )


def _attribute(view: View) -> tuple[str, Any]:
    message = read_message(view, ATTRIBUTE, REPEATED_IN_ATTRIBUTE)
    name = _string(message, 1)
    kind = message.get(20, [0])[0]
    field = ATTRIBUTE_FIELDS.get(kind)
    if field is None or not message.keys() <= {1, 13, 20, field}:
        raise GraphError(f"the attribute {name!r} is neither numbers, a word nor a tensor")
    values = message.get(field, [])
    if kind == FLOATS:
        return name, floats(values)
    if kind == INTS:
        return name, varints(values)
    if kind == STRINGS:
        return name, [_name(value) for value in values]
    if not values:
        raise GraphError(f"the attribute {name!r} has no value")
    if kind == AN_INT:
        return name, values[0]
    if kind == A_FLOAT:
        return name, floats(values)[0]
    if kind == A_STRING:
        return name, _name(values[0])
    return name, _tensor(values[0])[1]


def _tensor(view: View) -> tuple[str, Tensor]:
    message = read_message(view, TENSOR, REPEATED_IN_TENSOR)
    name = _string(message, 8)
    kind = message.get(2, [0])[0]
    if kind not in ELEMENT_TYPES:
        raise GraphError(f"the tensor {name!r} holds no plain numbers (ONNX's type {kind})")
    if message.get(14, [0])[0] != 0:
        raise GraphError(f"the data of the tensor {name!r} lies in another file")
    shape = _sizes(varints(message.get(1, [])), name)
    field = DATA_FIELDS.get(kind, SMALL_INTEGERS)
    if not message.keys() <= {1, 2, 8, 9, 12, 14, 16, field} or (9 in message and field in message):
        raise GraphError(f"the tensor {name!r} has data of another type than its own")
    raw = message[9][0] if 9 in message else None
    typed = message.get(field, [])
    if raw is not None:
        found = len(raw) / ITEM_BYTES[kind]
    else:
        found = count_numbers(typed, 4 if kind == FLOAT else None)
    count = math.prod(shape)
    if found != count:
        raise GraphError(f"the tensor {name!r} has {found:g} elements where its shape has {count}")
    return name, Tensor(kind, shape, raw, typed)


def _port(view: View) -> Port:
    message = read_message(view, VALUE_INFO, frozenset({4}))
    name = _string(message, 1)
    if 2 not in message:
        raise GraphError(f"{name!r} has no type")
    kind = read_message(message[2][0], TYPE, ONCE)
    if 1 not in kind:
        raise GraphError(f"{name!r} is no tensor")
    tensor_type = read_message(kind[1][0], TENSOR_TYPE, ONCE)
    if 2 not in tensor_type:
        raise GraphError(f"{name!r} has no shape")
    shape: list[int | str] = []
    dimensions = read_message(tensor_type[2][0], SHAPE, frozenset({1})).get(1, [])
    for dimension_view in dimensions[: MAX_RANK + 1]:
        dimension = read_message(dimension_view, DIMENSION, ONCE)
        if 1 in dimension and 2 in dimension:
            raise GraphError(f"a dimension of {name!r} has both a size and a name")
        shape.append(dimension[1][0] if 1 in dimension else _string(dimension, 2))
    return Port(name, tensor_type.get(1, [0])[0], tuple(shape))


def _sizes(shape: list[int], name: str) -> tuple[int, ...]:
    if len(shape) > MAX_RANK:
        raise GraphError(f"the tensor {name!r} has {len(shape)} dimensions, more than {MAX_RANK}")
    for size in shape:
        if not 0 <= size <= MAX_DIMENSION:
            raise GraphError(f"the tensor {name!r} has a dimension of {size}")
    return tuple(shape)


def _string(message: Mapping[int, list[Any]], number: int) -> str:
    return _name(message[number][0]) if number in message else ""


def _name(view: View) -> str:
    if len(view) > MAX_NAME:
        raise GraphError(f"a name of {len(view)} bytes is longer than {MAX_NAME}")
    try:
        return str(view, "utf-8")
    except UnicodeDecodeError:
        raise GraphError("a name in it is not UTF-8") from None
