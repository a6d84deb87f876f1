"""onnxruntime sessions for measuring: quiet, on the CPU, with one thread."""

from __future__ import annotations

import numpy as np
import onnxruntime

from vae_runtime.arrays import Float32
from vae_runtime.engine.providers import CPU

ALL_OPTIMIZATIONS = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
# Inputs in one call, so that a large decoder's images fit into memory.
CHUNK = 64
# Failures come as exceptions.
LOG_FATAL_ONLY = 4


def open_session(
    model_bytes: bytes, level: onnxruntime.GraphOptimizationLevel = ALL_OPTIMIZATIONS
) -> onnxruntime.InferenceSession:
    """Open a quiet single-threaded session on the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = LOG_FATAL_ONLY
    options.graph_optimization_level = level
    return onnxruntime.InferenceSession(model_bytes, options, providers=[CPU])


def run(model_bytes: bytes, inputs: Float32) -> list[Float32]:
    """Every output of a graph for `inputs` (N, …), each (N, …)."""
    session = open_session(model_bytes)
    name = session.get_inputs()[0].name
    chunks = []
    for start in range(0, len(inputs), CHUNK):
        chunks.append(session.run(None, {name: inputs[start : start + CHUNK]}))
    return [np.concatenate(values) for values in zip(*chunks, strict=True)]
