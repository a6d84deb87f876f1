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

MAX_TURNS = 200
# A large decoder gets fewer turns, as many as fit in this time, but never fewer than this.
MAX_SECONDS = 1.0
MIN_TURNS = 7
WARM_UP_TURNS = 2
# After so many turns a gain below this is a loss, whatever the others would say.
FIRST_TURNS = 20
CLEAR_LOSS = 0.9
# A small one runs several times in a turn: the clock and the caches take their share of each.
TURN_SECONDS = 1e-3
MIN_SECONDS = 1e-6
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
    of_one, seconds = _compare(candidate, baseline, inputs[:1], level)
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
) -> float:
    """The CPU time of `baseline` over that of `candidate`, measured in turns."""
    gain, _ = _compare(candidate, baseline, inputs, level)
    return gain


def _compare(
    candidate: bytes,
    baseline: bytes,
    inputs: Float32,
    level: onnxruntime.GraphOptimizationLevel,
) -> tuple[float, float]:
    """The gain, and the CPU seconds of one run of the candidate."""
    sessions = [open_session(candidate, level), open_session(baseline, level)]
    times: list[list[float]] = [[], []]
    slowest = max(_cpu_seconds(session, inputs, runs=1) for session in sessions)
    runs = max(1, math.ceil(TURN_SECONDS / max(slowest, MIN_SECONDS)))
    end = time.perf_counter() + MAX_SECONDS
    for turn in range(MAX_TURNS):
        if turn >= MIN_TURNS and time.perf_counter() >= end:
            break
        if turn == FIRST_TURNS and _gain(times) < CLEAR_LOSS:
            break
        # Who comes second finds other caches: they change places.
        for i in (0, 1) if turn % 2 else (1, 0):
            times[i].append(_cpu_seconds(sessions[i], inputs, runs))
    return _gain(times), _typical(times[0])


def _gain(times: list[list[float]]) -> float:
    """From the times of the candidate and of the baseline."""
    return _typical(times[1]) / _typical(times[0])


def _typical(times: list[float]) -> float:
    return float(np.quantile(times[WARM_UP_TURNS:], LOWER_QUARTILE))


def _cpu_seconds(session: onnxruntime.InferenceSession, inputs: Float32, runs: int) -> float:
    """The mean of several runs. With one thread a session runs on the thread that calls it."""
    name = session.get_inputs()[0].name
    began = time.thread_time()
    for _ in range(runs):
        session.run(None, {name: inputs})
    return (time.thread_time() - began) / runs
