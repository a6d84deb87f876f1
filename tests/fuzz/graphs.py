"""Graphs whose nodes, attributes, shapes and initializers are edited, hashes set right."""

from __future__ import annotations

import shutil
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from tests.fuzz.bundles import exercise, rehashed
from tests.fuzz.harness import Case, Fuzzer
from tests.runtime.helpers import DATA

from vae_runtime.graphs.operators import OPERATORS

FOREIGN = ("Loop", "If", "Scan", "RandomNormal", "NonZero", "StringConcat", "Unique", "Dropout")
NUMBERS = (-(1 << 63), -1, 0, 1, 2, 3, 7, 28, 784, 1 << 20, 1 << 31, (1 << 63) - 1)


def edited(model: onnx.ModelProto, rng: Random) -> None:
    """Change a model in one place."""
    graph = model.graph
    node = rng.choice(graph.node)
    kind = rng.randrange(12)
    if kind == 0:
        node.op_type = rng.choice([*OPERATORS[""], *FOREIGN])
    elif kind == 1 and node.attribute:
        _edit_attribute(rng.choice(node.attribute), rng)
    elif kind == 2:
        name = rng.choice(["axis", "perm", "pads", "strides", "alpha", "group", "to", "equation"])
        value = rng.choice([rng.choice(NUMBERS), [1, 2], 0.5, "NOTSET", [rng.choice(NUMBERS)]])
        node.attribute.append(helper.make_attribute(name, value))
    elif kind == 3 and node.input:
        names = [item.name for item in graph.initializer] + [
            name for n in graph.node for name in n.output
        ]
        node.input[rng.randrange(len(node.input))] = rng.choice([*names, "z", "image", "", "ghost"])
    elif kind <= 6:
        _edit_tensor(rng.choice(graph.initializer), rng)
    elif kind == 7:
        graph.node.remove(node)
    elif kind == 8:
        graph.node.insert(rng.randrange(len(graph.node) + 1), node)
    elif kind == 9:
        port = rng.choice([*graph.input, *graph.output])
        dim = rng.choice(port.type.tensor_type.shape.dim)
        dim.dim_value = rng.choice(NUMBERS)
    elif kind == 10:
        _insert_operator(graph, rng)
    else:
        opset = rng.choice(model.opset_import)
        opset.version = rng.choice([1, 7, 13, 17, 18, 19, 22, 23, 99, -1])


def _edit_attribute(attribute: Any, rng: Random) -> None:
    if attribute.type == onnx.AttributeProto.INT:
        attribute.i = rng.choice(NUMBERS)
    elif attribute.type == onnx.AttributeProto.INTS and attribute.ints:
        attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice(NUMBERS)
    elif attribute.type == onnx.AttributeProto.FLOAT:
        attribute.f = rng.choice([0.0, -1.0, 1e38, float("nan"), float("inf")])
    else:
        attribute.type = rng.randrange(15)


def _edit_tensor(tensor: Any, rng: Random) -> None:
    kind = rng.randrange(4)
    if kind == 0:
        tensor.data_type = rng.randrange(25)
    elif kind == 1 and tensor.dims:
        tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice(NUMBERS)
    else:
        try:
            array = numpy_helper.to_array(tensor).copy()
        except (ValueError, TypeError, KeyError):
            # An earlier edit left no array that onnx can read.
            return
        if not array.size:
            return
        if array.dtype.kind == "f":
            value = rng.choice([np.nan, np.inf, 1e38, -1e30, 0, 1e10])
        else:
            value = rng.choice(NUMBERS)
        if kind == 2:
            array.flat[rng.randrange(array.size)] = value
        else:
            array = np.full(rng.choice([(), (1,), (2,), array.shape, (0,)]), value, array.dtype)
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def _insert_operator(graph: Any, rng: Random) -> None:
    """An operator between the last node and the output, with constants that it may take."""
    last = graph.node[-1]
    operator = rng.choice(list(OPERATORS[""]))
    before = f"before_{len(graph.node)}"
    output = last.output[0]
    last.output[0] = before
    inputs = [before]
    for i in range(rng.randrange(4)):
        values = [rng.choice(NUMBERS[3:]) for _ in range(rng.choice([0, 1, 2, 4]))]
        dtype = rng.choice([np.int64, np.float32])
        constant = numpy_helper.from_array(np.array(values).astype(dtype), f"{before}_{i}")
        graph.initializer.append(constant)
        inputs.append(constant.name)
    graph.node.append(helper.make_node(operator, inputs, [output]))


def _prepare(folder: Path) -> Case:
    original = DATA / "tiny.vae"

    def case(rng: Random) -> None:
        bundle = Path(shutil.copytree(original, folder / "bundle.vae", dirs_exist_ok=True))
        file = bundle / rng.choice(["encoder.onnx", "decoder.onnx"])
        model = onnx.load(file)
        for _ in range(rng.choice([1, 1, 2, 4])):
            if model.graph.node:
                edited(model, rng)
        file.write_bytes(model.SerializeToString())
        rehashed(bundle)
        exercise(bundle)

    return case


FUZZERS = (Fuzzer("graphs", _prepare),)
