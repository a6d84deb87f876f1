"""Is one graph faster than another? Alternating runs, medians, with and without onnxruntime's blocked layouts."""

from __future__ import annotations

import time

import numpy as np
import onnxruntime
from numpy.typing import NDArray

LEVELS = (onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL, onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED)
ROUNDS = 60


def faster_everywhere(candidate: bytes, plain: bytes, inputs: NDArray[np.float32]) -> bool:
    """Whether `candidate` beats `plain` on one thread at both optimisation levels.

    EXTENDED stands in for builds without blocked convolution kernels, such as older ones for ARM.
    """
    return all(speedup(candidate, plain, inputs, level) > 1.0 for level in LEVELS)


def speedup(
    candidate: bytes,
    plain: bytes,
    inputs: NDArray[np.float32],
    level: onnxruntime.GraphOptimizationLevel = LEVELS[0],
    rounds: int = ROUNDS,
) -> float:
    """Median time of `plain` over that of `candidate`, measured in turns."""
    sessions = [_session(content, level) for content in (candidate, plain)]
    times = np.empty((rounds, 2))
    for i in range(-3, rounds):  # three to warm up
        for j, session in enumerate(sessions):
            began = time.perf_counter()
            session.run(None, {session.get_inputs()[0].name: inputs})
            times[i, j] = time.perf_counter() - began
    ours, theirs = np.median(times, 0)
    return float(theirs / ours)


def _session(content: bytes, level: onnxruntime.GraphOptimizationLevel) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    options.graph_optimization_level = level
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
