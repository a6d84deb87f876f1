"""glibc's allocator set for training: a step's large buffers are kept for the next one."""

from __future__ import annotations

import ctypes

# Parameters of mallopt, from malloc.h.
M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
MAX_KEPT_BYTES = 1 << 30
# glibc before 2.35 refuses a larger threshold for mmap.
MAX_KEPT_BYTES_OLD_GLIBC = 1 << 25


def keep_large_buffers() -> None:
    """Let malloc reuse freed activations instead of returning them to the system.

    The system would zero them for each step. Worth a quarter of a training step on the CPU
    (`python -m benchmarks.training`, with and without --plain-malloc). Changes this process's
    allocator, so only a program calls it, never a library; does nothing where there is no glibc.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):
        return
    accepted = mallopt(M_MMAP_THRESHOLD, MAX_KEPT_BYTES)
    if not accepted:
        mallopt(M_MMAP_THRESHOLD, MAX_KEPT_BYTES_OLD_GLIBC)
    mallopt(M_TRIM_THRESHOLD, MAX_KEPT_BYTES)
