"""What runs on the emulated CPU: one graph, called a few times between marks of the counter.

    python guest.py GRAPH BATCH

Imports numpy and onnxruntime alone, so that it runs wherever the runtime does.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

import numpy as np
import onnxruntime

CALLS = 5
FIRST_MARK = 7000


def mark(number: int) -> None:
    """Have counter.c print how many instructions there were so far."""
    # There is no such policy, which is why nobody else asks for it.
    with suppress(OSError):
        os.sched_get_priority_max(FIRST_MARK + number)


def main(graph: str, batch: int) -> None:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    inputs = {}
    for entry in session.get_inputs():
        inputs[entry.name] = rng.random((batch, *entry.shape[1:]), np.float32)
    for call in range(CALLS):
        mark(2 * call)
        session.run(None, inputs)
        mark(2 * call + 1)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
