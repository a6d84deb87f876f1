"""Is one graph faster than another? A measure that repeats, with and without blocked layouts.

Runs alternate on one thread, and what counts is that thread's CPU time: what other processes take
away isn't in it. Of each graph's times the lower quartile is compared, which interrupts and caches
filled by others don't reach. A graph counts as faster from `MIN_GAIN` on, so that the rest of the
noise, a few percent, makes no graph a faster one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import numpy as np
import onnxruntime

from vae_export.ort import ALL_OPTIMIZATIONS, open_session
from vae_runtime.arrays import Float32
from vae_runtime.engine.conditions import (
    BLOCKED_LAYOUTS,
    PLAIN_LAYOUTS,
    Condition,
    has_blocked_layouts,
)

# What is less isn't worth another file, and the measure isn't that exact.
MIN_GAIN = 1.05
# Without the highest level onnxruntime doesn't use its blocked convolution kernels, which stands in
# for CPUs for which it has none.
WITHOUT_BLOCKED_LAYOUTS = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED

MAX_ROUNDS = 60
# A large decoder gets fewer rounds, as many as fit in this time, but never fewer than this.
MAX_SECONDS = 2.0
MIN_ROUNDS = 7
WARM_UP_ROUNDS = 2
LOWER_QUARTILE = 0.25
# The second batch isn't measured where a single input takes longer.
MAX_SECONDS_OF_ONE = 0.1


def levels_here() -> dict[Condition, onnxruntime.GraphOptimizationLevel]:
    """The conditions that this machine can measure, and at which level onnxruntime meets them."""
    if has_blocked_layouts():
        return {BLOCKED_LAYOUTS: ALL_OPTIMIZATIONS, PLAIN_LAYOUTS: WITHOUT_BLOCKED_LAYOUTS}
    return {PLAIN_LAYOUTS: ALL_OPTIMIZATIONS}


def fastest(
    candidates: Sequence[bytes],
    baseline: bytes,
    inputs: Float32,
    level: onnxruntime.GraphOptimizationLevel,
) -> bytes | None:
    """The candidate that gains most over `baseline`; None where none is faster.

    Earlier ones are preferred: a later one must beat the best so far as clearly as that one beat
    the baseline.
    """
    best = baseline
    for candidate in candidates:
        if is_faster(candidate, best, inputs, level):
            best = candidate
    return None if best is baseline else best


def is_faster(
    candidate: bytes,
    baseline: bytes,
    inputs: Float32,
    level: onnxruntime.GraphOptimizationLevel = ALL_OPTIMIZATIONS,
    min_gain: float = MIN_GAIN,
) -> bool:
    """Whether `candidate` gains `min_gain` on the whole, and loses nowhere.

    Measured on one input and on all of them at once, on one thread; the mean is the geometric one.
    """
    of_one, seconds = _compare(candidate, baseline, inputs[:1], level, MAX_ROUNDS)
    if of_one < 1:
        return False
    if seconds > MAX_SECONDS_OF_ONE or len(inputs) == 1:
        return of_one >= min_gain
    of_all = speedup(candidate, baseline, inputs, level)
    return of_all >= 1 and math.sqrt(of_one * of_all) >= min_gain


def speedup(
    candidate: bytes,
    baseline: bytes,
    inputs: Float32,
    level: onnxruntime.GraphOptimizationLevel = ALL_OPTIMIZATIONS,
    max_rounds: int = MAX_ROUNDS,
) -> float:
    """The CPU time of `baseline` over that of `candidate`, measured in turns."""
    gain, _ = _compare(candidate, baseline, inputs, level, max_rounds)
    return gain


def _compare(
    candidate: bytes,
    baseline: bytes,
    inputs: Float32,
    level: onnxruntime.GraphOptimizationLevel,
    max_rounds: int,
) -> tuple[float, float]:
    """The gain, and the CPU seconds of the candidate."""
    candidate_session = open_session(candidate, level)
    baseline_session = open_session(baseline, level)
    candidate_times: list[float] = []
    baseline_times: list[float] = []
    end = time.perf_counter() + MAX_SECONDS
    for finished_rounds in range(max(MIN_ROUNDS, max_rounds)):
        if finished_rounds >= MIN_ROUNDS and time.perf_counter() >= end:
            break
        candidate_times.append(_cpu_seconds(candidate_session, inputs))
        baseline_times.append(_cpu_seconds(baseline_session, inputs))
    candidate_seconds = np.quantile(candidate_times[WARM_UP_ROUNDS:], LOWER_QUARTILE)
    baseline_seconds = np.quantile(baseline_times[WARM_UP_ROUNDS:], LOWER_QUARTILE)
    return float(baseline_seconds / candidate_seconds), float(candidate_seconds)


def _cpu_seconds(session: onnxruntime.InferenceSession, inputs: Float32) -> float:
    # With one thread a session runs on the thread that calls it.
    began = time.thread_time()
    session.run(None, {session.get_inputs()[0].name: inputs})
    return time.thread_time() - began
