"""Is one graph faster than another? Alternating runs, medians, with and without onnxruntime's blocked layouts."""

from __future__ import annotations

import time

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from vae_export.parity import session

LEVELS = (onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL, onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED)
ROUNDS = 60
LEAST_ROUNDS, BUDGET = 9, 2.0  # a large decoder gets fewer rounds: as many as fit in so many seconds


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
    sessions = [session(content, level) for content in (candidate, plain)]
    times: list[list[float]] = []
    end = time.perf_counter() + BUDGET
    while len(times) < LEAST_ROUNDS or (len(times) < rounds and time.perf_counter() < end):
        times.append([_seconds(graph, inputs) for graph in sessions])
    ours, theirs = np.median(times[2:], 0)  # two to warm up
    return float(theirs / ours)


def _seconds(graph: onnxruntime.InferenceSession, inputs: NDArray[np.float32]) -> float:
    began = time.perf_counter()
    graph.run(None, {graph.get_inputs()[0].name: inputs})
    return time.perf_counter() - began
