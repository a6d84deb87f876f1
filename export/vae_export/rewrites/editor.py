"""A graph under edit: who makes a value, who takes it, and constants as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper


class Editor:
    """Wraps a copy of a model; passes ask it and change it, `finish` puts the model together again."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = onnx.ModelProto()
        self.model.CopyFrom(model)
        graph = self.model.graph
        self.nodes = list(graph.node)
        self.constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        self.shapes = _static_shapes(model)
        self.outputs = {output.name for output in graph.output}
        self._absorb_constant_nodes()
        self._fresh = 0

    def constant(self, name: str) -> NDArray[Any] | None:
        """The value of a constant; None for what is computed, and for an input left out."""
        return self.constants.get(name)

    def producer(self, name: str) -> onnx.NodeProto | None:
        return next((node for node in self.nodes if name in node.output), None)

    def sole_consumer(self, name: str) -> onnx.NodeProto | None:
        """The one node that takes `name`; None when there are more, none, or the graph itself returns it."""
        takers = [node for node in self.nodes if name in node.input]
        return takers[0] if len(takers) == 1 and name not in self.outputs else None

    def of_type(self, *kinds: str) -> list[onnx.NodeProto]:
        return [node for node in self.nodes if node.op_type in kinds and node.domain == ""]

    def add_constant(self, array: NDArray[Any]) -> str:
        name = self._name("constant")
        self.constants[name] = np.ascontiguousarray(array)
        return name

    def add(self, kind: str, inputs: Sequence[str], output: str | None = None, **attributes: Any) -> str:
        """A new node; returns the name of its one output."""
        name = output or self._name(kind.lower())
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def add_like(self, node: onnx.NodeProto, source: str) -> str:
        """A copy of a one-input node on another input."""
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.input[0] = source
        copy.output[0] = self._name(node.op_type.lower())
        copy.name = ""
        self.nodes.append(copy)
        return str(copy.output[0])

    def remove(self, *nodes: onnx.NodeProto) -> None:
        dropped = {id(node) for node in nodes}
        self.nodes = [node for node in self.nodes if id(node) not in dropped]

    def finish(self) -> onnx.ModelProto:
        """The edited model: nodes in order of need, each with a name, and constants that are still used."""
        graph = self.model.graph
        ready = {value.name for value in graph.input} | set(self.constants) | {""}
        waiting, ordered = list(self.nodes), []
        while waiting:
            free = [node for node in waiting if set(node.input) <= ready]
            if not free:
                raise AssertionError("a rewrite left a value without a producer")
            ordered += free
            ready |= {name for node in free for name in node.output}
            waiting = [node for node in waiting if not set(node.output) <= ready]
        used = {name for node in ordered for name in node.input} | self.outputs
        for field in ("node", "initializer", "value_info"):
            graph.ClearField(field)
        for i, node in enumerate(ordered):
            node.name = node.name or f"{node.op_type}_{i}"
        graph.node.extend(ordered)
        graph.initializer.extend(numpy_helper.from_array(v, k) for k, v in self.constants.items() if k in used)
        return self.model

    def _absorb_constant_nodes(self) -> None:
        for node in [n for n in self.nodes if n.op_type == "Constant" and n.attribute[0].name == "value"]:
            self.constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
            self.remove(node)

    def _name(self, hint: str) -> str:
        self._fresh += 1
        return f"rewritten_{hint}_{self._fresh}"


def _static_shapes(model: onnx.ModelProto) -> dict[str, list[int]]:
    """Dimensions by name, 0 where one is dynamic or unknown."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    values = (*graph.input, *graph.value_info, *graph.output)
    return {value.name: [d.dim_value for d in value.type.tensor_type.shape.dim] for value in values}


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """A node's attributes as Python values."""
    return {a.name: helper.get_attribute_value(a) for a in node.attribute}
