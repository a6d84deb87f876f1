"""The graph that anyone gets from torch, as the reference, and how much work it is."""

from __future__ import annotations

import logging
import warnings

import numpy as np
import onnx
import torch

# Operators that multiply their input with weights.
MULTIPLYING = {"Conv", "ConvTranspose", "Gemm", "MatMul"}


def plain_graph(module: torch.nn.Module, example: torch.Tensor) -> bytes:
    """torch.onnx.export at its default opset, with a dynamic batch."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module,
            (example,),
            dynamo=True,
            external_data=False,
            verbose=False,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
        )
    assert program is not None
    return bytes(program.model_proto.SerializeToString())


def multiplications(model_bytes: bytes) -> int:
    """Multiply-adds per image in the convolutions and matrix products of a plain graph."""
    graph = onnx.shape_inference.infer_shapes(onnx.load_from_string(model_bytes)).graph
    weight_shapes = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    shapes = {}
    for value in (*graph.value_info, *graph.input, *graph.output):
        shapes[value.name] = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
    total = 0
    for node in graph.node:
        if node.op_type in MULTIPLYING and node.input[1] in weight_shapes:
            # A transposed convolution multiplies once per input pixel, an ordinary one once per
            # output pixel, a matrix product once.
            is_transposed = node.op_type == "ConvTranspose"
            multiplied = node.input[0] if is_transposed else node.output[0]
            pixels = shapes[multiplied][2:]
            total += int(np.prod(weight_shapes[node.input[1]]) * np.prod(pixels or [1]))
    return total
