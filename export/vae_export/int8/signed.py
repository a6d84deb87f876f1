"""Activations as signed bytes: onnxruntime's kernels for ARM multiply them without a detour.

Those for x86-64 want them unsigned.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

from vae_export.graphs import checked

# From a byte without sign to one with it.
OFFSET = 128
CONVERSIONS = frozenset({"QuantizeLinear", "DequantizeLinear"})


def with_signed_bytes(int8_bytes: bytes) -> bytes:
    """The same int8 graph with every unsigned zero point, and so every activation, moved by 128.

    Scales stay and what is clipped stays the same, so the values are the same numbers.
    """
    model = onnx.load_from_string(int8_bytes)
    zero_points = set()
    for node in model.graph.node:
        if node.op_type in CONVERSIONS:
            zero_points.update(node.input[2:])
    for tensor in model.graph.initializer:
        if tensor.name in zero_points and tensor.data_type == onnx.TensorProto.UINT8:
            unsigned = numpy_helper.to_array(tensor).astype(np.int16)
            signed = (unsigned - OFFSET).astype(np.int8)
            tensor.CopyFrom(numpy_helper.from_array(signed, tensor.name))
    return bytes(checked(model).SerializeToString())
