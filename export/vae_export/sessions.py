"""ONNX graphs run by onnxruntime, as the exporter measures and compares them."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from vae_runtime.errors import VAEError

Array = NDArray[np.float32]
LEVELS = {
    "all": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
    "extended": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
}


def open_session(model: onnx.ModelProto | bytes, level: str = "all", threads: int = 1) -> Any:
    """A session on the CPU. Raises VAEError when onnxruntime refuses the graph."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.graph_optimization_level = LEVELS[level]
    options.log_severity_level = 4
    content = model if isinstance(model, bytes) else model.SerializeToString()
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions share no base class
        raise VAEError(f"onnxruntime cannot load the graph: {str(error).splitlines()[0]}") from error


def run(session: Any, array: Array, batch: int = 0) -> list[Array]:
    """The outputs for `array` (N, …), in steps of `batch` (0: all at once)."""
    name = session.get_inputs()[0].name
    step = batch or max(1, len(array))
    try:
        parts = [session.run(None, {name: array[i : i + step]}) for i in range(0, len(array), step)]
    except Exception as error:
        raise VAEError(f"onnxruntime cannot run the graph: {str(error).splitlines()[0]}") from error
    return [np.concatenate(output) for output in zip(*parts, strict=True)]
