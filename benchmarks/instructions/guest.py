"""What runs on the emulated CPU: graphs, each called a few times between marks of the counter.

    python guest.py [--as-is] GRAPH@BATCH ...

As it is a graph isn't optimized any further. Imports numpy and onnxruntime alone, so that it runs
wherever the runtime does.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

import numpy as np
import onnxruntime

CALLS = 5
FIRST_MARK = 7000
AS_IS = "--as-is"


def mark(number: int) -> None:
    """Have counter.c print how many instructions there were so far."""
    # There is no such policy, which is why nobody else asks for it.
    with suppress(OSError):
        os.sched_get_priority_max(FIRST_MARK + number)


def call(graph: str, batch: int, level: onnxruntime.GraphOptimizationLevel) -> None:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    inputs = {}
    for entry in session.get_inputs():
        inputs[entry.name] = rng.random((batch, *entry.shape[1:]), np.float32)
    for number in range(CALLS):
        mark(2 * number)
        session.run(None, inputs)
        mark(2 * number + 1)


def main(calls: list[str]) -> None:
    level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    if calls[0] == AS_IS:
        level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        calls = calls[1:]
    for described in calls:
        graph, _, batch = described.rpartition("@")
        call(graph, int(batch), level)


if __name__ == "__main__":
    main(sys.argv[1:])
