"""Is one graph faster than another? Alternating runs, medians, with and without blocked layouts."""

from __future__ import annotations

import time

import numpy as np
import onnxruntime

from vae_export.ort import ALL_OPTIMIZATIONS, open_session
from vae_runtime.arrays import Float32

# onnxruntime has blocked convolution kernels for x86 only; without the highest level it doesn't use
# them, which stands in for builds that lack them, such as older ones for ARM.
WITHOUT_BLOCKED_LAYOUTS = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
LEVELS = (ALL_OPTIMIZATIONS, WITHOUT_BLOCKED_LAYOUTS)

MAX_ROUNDS = 60
# A large decoder gets fewer rounds, as many as fit in this time, but never fewer than this.
MAX_SECONDS = 2.0
MIN_ROUNDS = 9
WARM_UP_ROUNDS = 2


def faster_everywhere(candidate: bytes, baseline: bytes, inputs: Float32) -> bool:
    """Whether `candidate` beats `baseline` on one thread at both optimization levels."""
    return all(speedup(candidate, baseline, inputs, level) > 1.0 for level in LEVELS)


def speedup(
    candidate: bytes,
    baseline: bytes,
    inputs: Float32,
    level: onnxruntime.GraphOptimizationLevel = ALL_OPTIMIZATIONS,
    max_rounds: int = MAX_ROUNDS,
) -> float:
    """The median time of `baseline` over that of `candidate`, measured in turns."""
    candidate_session = open_session(candidate, level)
    baseline_session = open_session(baseline, level)
    candidate_times: list[float] = []
    baseline_times: list[float] = []
    end = time.perf_counter() + MAX_SECONDS
    for finished_rounds in range(max(MIN_ROUNDS, max_rounds)):
        if finished_rounds >= MIN_ROUNDS and time.perf_counter() >= end:
            break
        candidate_times.append(_seconds(candidate_session, inputs))
        baseline_times.append(_seconds(baseline_session, inputs))
    candidate_median = np.median(candidate_times[WARM_UP_ROUNDS:])
    baseline_median = np.median(baseline_times[WARM_UP_ROUNDS:])
    return float(baseline_median / candidate_median)


def _seconds(session: onnxruntime.InferenceSession, inputs: Float32) -> float:
    began = time.perf_counter()
    session.run(None, {session.get_inputs()[0].name: inputs})
    return time.perf_counter() - began
