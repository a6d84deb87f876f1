"""How many times as fast is one graph as another? CPU time of one thread, in turns.

What other processes take away isn't in it. Of each graph's times the lower quartile is compared,
which interrupts and caches filled by others don't reach.
"""

from __future__ import annotations

import math
import time

import numpy as np
import onnxruntime

from vae_export.ort import ALL_OPTIMIZATIONS, open_session
from vae_runtime.arrays import Float32

MAX_TURNS = 200
# A large decoder gets fewer turns, as many as fit in this time, but never fewer than this.
MAX_SECONDS = 2.0
MIN_TURNS = 7
WARM_UP_TURNS = 2
# A small one runs several times in a turn: the clock and the caches take their share of each.
TURN_SECONDS = 1e-3
MIN_SECONDS = 1e-6
LOWER_QUARTILE = 0.25


def speedup(
    candidate: bytes,
    baseline: bytes,
    inputs: Float32,
    level: onnxruntime.GraphOptimizationLevel = ALL_OPTIMIZATIONS,
) -> float:
    """The CPU time of `baseline` over that of `candidate` for inputs (N, …)."""
    sessions = [open_session(candidate, level), open_session(baseline, level)]
    times: list[list[float]] = [[], []]
    slowest = max(_cpu_seconds(session, inputs, runs=1) for session in sessions)
    runs = max(1, math.ceil(TURN_SECONDS / max(slowest, MIN_SECONDS)))
    end = time.perf_counter() + MAX_SECONDS
    for turn in range(MAX_TURNS):
        if turn >= MIN_TURNS and time.perf_counter() >= end:
            break
        # Who comes second finds other caches: they change places.
        for i in (0, 1) if turn % 2 else (1, 0):
            times[i].append(_cpu_seconds(sessions[i], inputs, runs))
    typical = [float(np.quantile(some[WARM_UP_TURNS:], LOWER_QUARTILE)) for some in times]
    return typical[1] / typical[0]


def _cpu_seconds(session: onnxruntime.InferenceSession, inputs: Float32, runs: int) -> float:
    """The mean of several runs. With one thread a session runs on the thread that calls it."""
    name = session.get_inputs()[0].name
    began = time.thread_time()
    for _ in range(runs):
        session.run(None, {name: inputs})
    return (time.thread_time() - began) / runs
