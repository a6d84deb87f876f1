"""Signed bytes are the same numbers."""

import numpy as np
import onnx
from onnx import TensorProto

from vae_export import ort
from vae_export.int8.qdq import CalibratedModel
from vae_export.int8.search import layers_worth_quantizing
from vae_export.int8.signed import CONVERSIONS, with_signed_bytes
from vae_runtime.arrays import Float32


def test_signed_bytes_give_the_same_numbers(upsampling: bytes, z: Float32) -> None:
    model = onnx.load_from_string(upsampling)
    nodes = [name for layer in layers_worth_quantizing(model) for name in layer]
    unsigned = CalibratedModel(model, z, nodes).quantize(nodes, 100.0)
    signed = with_signed_bytes(unsigned)
    types = {
        tensor.name: tensor.data_type for tensor in onnx.load_from_string(signed).graph.initializer
    }
    for node in onnx.load_from_string(signed).graph.node:
        if node.op_type in CONVERSIONS:
            assert types[node.input[2]] in (TensorProto.INT8, TensorProto.INT32)
    # onnxruntime rounds elsewhere: by at most a step of the logits in a few pixels.
    (expected,) = ort.run(unsigned, z)
    (values,) = ort.run(signed, z)
    assert np.abs(values - expected).mean() < 1e-4
