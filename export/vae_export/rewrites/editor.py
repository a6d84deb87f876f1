"""A graph under edit: who takes a value, constants as arrays, and nodes to add and remove."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

# Of the names that rewrites give, with a number behind.
PREFIX = "rewritten_"


class Editor:
    """A copy of a model that passes ask and change; `finish` puts it together again.

    Why not onnx_ir, which onnxscript brings along: it was tried. Its consumers, sorting and removal
    would replace some forty lines here, but constants and nodes would still need helpers that give
    them the same names at every export, and it writes the shapes of all constants into the graph,
    which changes the bytes. The passes themselves became no shorter.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = onnx.ModelProto()
        self.model.CopyFrom(model)
        graph = self.model.graph
        self.nodes = list(graph.node)
        self.constants: dict[str, NDArray[Any]] = {}
        for tensor in graph.initializer:
            self.constants[tensor.name] = numpy_helper.to_array(tensor)
        # Of the model as it came, 0 where a dimension is dynamic or unknown.
        self.shapes = _static_shapes(model)
        self.outputs = {output.name for output in graph.output}
        # Outputs of nodes that passes are not to begin at.
        self.hidden: set[str] = set()
        self._names_given = self._names_given_before()
        self._absorb_constant_nodes()

    def constant(self, name: str) -> NDArray[Any] | None:
        """The value of a constant; None for what is computed, and for an input left out."""
        return self.constants.get(name)

    def sole_consumer(self, name: str) -> onnx.NodeProto | None:
        """The one node that takes `name`.

        None when there are more or none, or when the graph itself returns the value.
        """
        takers = self.consumers(name)
        return takers[0] if len(takers) == 1 else None

    def consumers(self, name: str) -> list[onnx.NodeProto]:
        """The nodes that take `name`; none where the graph itself returns the value."""
        if name in self.outputs:
            return []
        return [node for node in self.nodes if name in node.input]

    def image_sides(self, name: str) -> tuple[int, int] | None:
        """Height and width of a value (N, C, H, W), None where a size but the batch is unknown."""
        shape = self.shapes.get(name, [])
        # What isn't known is 0.
        if len(shape) != 4 or not all(shape[1:]):
            return None
        return shape[2], shape[3]

    def of_type(self, op_type: str) -> list[onnx.NodeProto]:
        """The nodes with this operator of ONNX's own domain, but those that are hidden."""
        found = []
        for node in self.nodes:
            if node.op_type == op_type and node.domain == "" and node.output[0] not in self.hidden:
                found.append(node)
        return found

    def add_constant(self, array: NDArray[Any]) -> str:
        """Add a constant; returns its name."""
        name = self._new_name("constant")
        self.constants[name] = np.ascontiguousarray(array)
        return name

    def add(
        self, op_type: str, inputs: Sequence[str], output: str | None = None, **attributes: Any
    ) -> str:
        """Add a node; returns the name of its one output."""
        name = output or self._new_name(op_type.lower())
        self.nodes.append(helper.make_node(op_type, list(inputs), [name], **attributes))
        return name

    def add_many(
        self, op_type: str, inputs: Sequence[str], count: int, **attributes: Any
    ) -> list[str]:
        """Add a node with so many outputs; returns their names."""
        names = [self._new_name(op_type.lower()) for _ in range(count)]
        self.nodes.append(helper.make_node(op_type, list(inputs), names, **attributes))
        return names

    def add_like(self, node: onnx.NodeProto, source: str, output: str | None = None) -> str:
        """Add a copy of a node on another first input; returns the name of its output."""
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.input[0] = source
        copy.output[0] = output or self._new_name(node.op_type.lower())
        copy.name = ""
        self.nodes.append(copy)
        return str(copy.output[0])

    def replace_input(self, name: str, other: str) -> None:
        """Let every node that takes `name` take `other`."""
        for node in self.nodes:
            for i, taken in enumerate(node.input):
                if taken == name:
                    node.input[i] = other

    def remove(self, *nodes: onnx.NodeProto | None) -> None:
        """Remove these nodes; None stands for one that isn't there."""
        # By identity: two nodes may be equal.
        removed = {id(node) for node in nodes}
        self.nodes = [node for node in self.nodes if id(node) not in removed]

    def finish(self) -> onnx.ModelProto:
        """The edited model: nodes in order of need, each named, and the constants still in use."""
        graph = self.model.graph
        ordered = self._in_order_of_need()
        used = set(self.outputs)
        _name_all(ordered)
        for node in ordered:
            used.update(node.input)
        for field in ("node", "initializer", "value_info"):
            graph.ClearField(field)
        graph.node.extend(ordered)
        for name, array in self.constants.items():
            if name in used:
                graph.initializer.append(numpy_helper.from_array(array, name))
        return self.model

    def _in_order_of_need(self) -> list[onnx.NodeProto]:
        """Every node behind those that make its inputs, as ONNX wants it."""
        ready = {value.name for value in self.model.graph.input} | set(self.constants)
        # The name of an input that is left out.
        ready.add("")
        ordered: list[onnx.NodeProto] = []
        waiting = self.nodes
        while waiting:
            free = [node for node in waiting if ready.issuperset(node.input)]
            if not free:
                raise AssertionError("a rewrite left a value without a producer")
            ordered += free
            for node in free:
                ready.update(node.output)
            waiting = [node for node in waiting if not ready.issuperset(node.output)]
        return ordered

    def _absorb_constant_nodes(self) -> None:
        for node in self.of_type("Constant"):
            if node.attribute[0].name == "value":
                self.constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
                self.remove(node)

    def _names_given_before(self) -> int:
        """The largest number in a name that an earlier rewrite gave."""
        names = list(self.constants)
        for node in self.nodes:
            names += node.output
        numbers = [0]
        for name in names:
            if name.startswith(PREFIX):
                numbers.append(int(name.rpartition("_")[2]))
        return max(numbers)

    def _new_name(self, hint: str) -> str:
        self._names_given += 1
        return f"{PREFIX}{hint}_{self._names_given}"


def _name_all(nodes: Sequence[onnx.NodeProto]) -> None:
    """Name the nodes that have no name, each by another."""
    taken = {node.name for node in nodes}
    for i, node in enumerate(nodes):
        number = i
        while not node.name:
            name = f"{node.op_type}_{number}"
            number += 1
            if name not in taken:
                node.name = name
                taken.add(name)


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """A node's attributes as Python values."""
    return {item.name: helper.get_attribute_value(item) for item in node.attribute}


def _static_shapes(model: onnx.ModelProto) -> dict[str, list[int]]:
    """Dimensions by the name of the value, 0 where one is dynamic or unknown."""
    # Data are propagated for reshapes to the shape of another value, as behind a GroupNorm.
    graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = {}
    for value in (*graph.input, *graph.value_info, *graph.output):
        shapes[value.name] = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
    return shapes
