"""Times of several functions on one input, taken in turns so that the machine's moods hit all of them alike."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from benchmarks.peers import Run

LEAST_ROUNDS = 7


def seconds(runs: Mapping[str, Run], array: Any, budget: float) -> dict[str, list[float]]:
    """Seconds per call, at least seven of each, as many as fit in `budget` seconds per function."""
    for run in runs.values():
        run(array)
        run(array)
    times: dict[str, list[float]] = {name: [] for name in runs}
    end = time.perf_counter() + budget * len(runs)
    while len(next(iter(times.values()))) < LEAST_ROUNDS or time.perf_counter() < end:
        for name, run in runs.items():
            began = time.perf_counter()
            run(array)
            times[name].append(time.perf_counter() - began)
    return times


def matrix_rate(threads: int) -> float:
    """GFLOP/s of torch's float32 matrix product here, at its best."""
    torch.set_num_threads(threads)
    matrix = torch.rand(1024, 1024)
    times = seconds({"": lambda array: torch.from_numpy(array) @ matrix}, np.ones((1024, 1024), np.float32), 0.3)
    return 2 * 1024**3 / min(times[""]) / 1e9
