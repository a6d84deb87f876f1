"""glibc's allocator set for training: a step's large buffers are kept for the next one."""

from __future__ import annotations

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
LARGEST = 1 << 30
LARGEST_BEFORE_2_35 = 1 << 25  # glibc refused more


def keep_large_buffers() -> None:
    """Let malloc reuse freed activations in place of giving them back to the system, which zeroes them for each step.

    Worth a quarter of a training step on the CPU (`python -m benchmarks.training`, with and without --plain-malloc).
    Changes this process's allocator, so only a program calls it, never a library; does nothing where there is no glibc.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):
        return
    if not mallopt(M_MMAP_THRESHOLD, LARGEST):
        mallopt(M_MMAP_THRESHOLD, LARGEST_BEFORE_2_35)
    mallopt(M_TRIM_THRESHOLD, LARGEST)
