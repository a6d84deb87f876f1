"""Nodes that compute in bytes because those around them do: copies and sums."""

from __future__ import annotations

from collections.abc import Collection

import onnx

from vae_export.rewrites.operators import BYTE_MOVERS, PRODUCTS

# The nodes that take a value, by its name.
Takers = dict[str, list[onnx.NodeProto]]


def followers(model: onnx.ModelProto, names: Collection[str]) -> list[str]:
    """The names of the nodes that go along with quantized ones of these names.

    Movers, which copy what quantized nodes make and nothing else; and sums, as around the layers of
    a residual block, of values that quantized nodes make or take, to one that they take:
    onnxruntime adds bytes of two scales up to bytes of a third. A sum has with it the Relu that
    alone takes it.
    """
    takers = takers_by_value(model)
    in_bytes = _values_at(model, names, takers)
    made: set[str] = set()
    products: set[str] = set()
    found: list[str] = []
    for node in model.graph.node:
        if node.name in names:
            made.update(node.output)
            if node.op_type in PRODUCTS:
                products.update(node.output)
        elif node.op_type in BYTE_MOVERS and made.issuperset(moved_values(node)):
            is_product = products.issuperset(moved_values(node))
            if is_product and in_bytes.isdisjoint(node.output):
                # Products are given in floats where no node needs their bytes.
                continue
            made.update(node.output)
            found.append(node.name)
        elif node.op_type == "Add":
            sum_nodes = with_only_relu(node, takers)
            result = sum_nodes[-1].output[0]
            if result in in_bytes and (in_bytes | made).issuperset(node.input):
                made.add(result)
                found += [sum_node.name for sum_node in sum_nodes]
    return found


def moved_values(node: onnx.NodeProto) -> list[str]:
    """The values that a mover copies; the other inputs say where to."""
    if node.op_type == "Concat":
        return list(node.input)
    return list(node.input[:1])


def takers_by_value(model: onnx.ModelProto) -> Takers:
    """The nodes that take each value that a node makes; none for the graph's outputs."""
    takers: Takers = {}
    for node in model.graph.node:
        for name in node.output:
            takers.setdefault(name, [])
        for name in node.input:
            takers.setdefault(name, []).append(node)
    return takers


def with_only_relu(node: onnx.NodeProto, takers: Takers) -> list[onnx.NodeProto]:
    """The node, and behind it the Relu that alone takes its result, if there is one."""
    behind = takers[node.output[0]]
    if len(behind) == 1 and behind[0].op_type == "Relu":
        return [node, behind[0]]
    return [node]


def _values_at(model: onnx.ModelProto, names: Collection[str], takers: Takers) -> set[str]:
    """What nodes of these names make, and take, by way of a Relu too."""
    constants = {tensor.name for tensor in model.graph.initializer}
    values: set[str] = set()
    for node in model.graph.node:
        if node.name in names:
            values.update(node.output)
            values.update(node.input)
        for taker in takers[node.output[0]]:
            if node.op_type == "Relu" and taker.name in names:
                values.update(node.input)
    return values - constants
