"""Dense layers whose weights alone are bytes.

With few inputs onnxruntime takes up to twice as long for a product of bytes as of floats: each
output is rounded for a handful of products. So only the file gets smaller. onnxruntime turns the
bytes into floats as it loads, once, and multiplies those.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from vae_export.graphs import remove_unused_constants
from vae_export.rewrites.editor import attributes
from vae_runtime.arrays import Float32

# Of 16, 32 and 64 inputs products of bytes are 0.5 to 0.8 times as fast at batch 1 and 0.8 to 1.6
# times at batch 32; of 512 they are 1.4 and 1.9 times.
FEW_INPUTS = 64
LARGEST_BYTE = 127


def names_with_few_inputs(model: onnx.ModelProto) -> set[str]:
    """The names of the Gemms of at most FEW_INPUTS.

    A MatMul multiplies many rows even of a single image, so bytes gain there.
    """
    dims = {tensor.name: tensor.dims for tensor in model.graph.initializer}
    names = set()
    for node in model.graph.node:
        if node.op_type != "Gemm" or node.input[1] not in dims:
            continue
        if dims[node.input[1]][_axis_of_inputs(node)] <= FEW_INPUTS:
            names.add(node.name)
    return names


def _axis_of_inputs(node: onnx.NodeProto) -> int:
    return 1 if attributes(node).get("transB", 0) else 0


def store_weights_as_bytes(model: onnx.ModelProto, names: Collection[str]) -> None:
    """In place: the dense layers of these names have weights of 8 bits, one scale per output."""
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in list(model.graph.node):
        if node.name not in names:
            continue
        name = node.input[1]
        weight = numpy_helper.to_array(weights[name])
        node.input[1] = _add_floats_of_bytes(model, name, weight, _axis_of_inputs(node))
    remove_unused_constants(model)


def _add_floats_of_bytes(model: onnx.ModelProto, name: str, weight: Float32, axis: int) -> str:
    """Add a weight, rounded, as a value of constants; `axis` is that of the inputs."""
    largest = np.abs(weight).max(axis, keepdims=True)
    scale = (np.where(largest > 0, largest, 1) / LARGEST_BYTE).astype(np.float32)
    rounded = np.round(weight / scale).astype(np.int8)
    rounded_name = f"{name}_rounded"
    scale_name = f"{name}_scale"
    floats = f"{name}_floats"
    scaled = f"{name}_scaled"
    model.graph.initializer.append(numpy_helper.from_array(rounded, rounded_name))
    model.graph.initializer.append(numpy_helper.from_array(scale, scale_name))
    cast = helper.make_node("Cast", [rounded_name], [floats], to=TensorProto.FLOAT)
    model.graph.node.insert(0, cast)
    model.graph.node.insert(1, helper.make_node("Mul", [floats, scale_name], [scaled]))
    return scaled
