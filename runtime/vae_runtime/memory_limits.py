"""Small limits on a process's memory, `ulimit -v` and `-d`, before numpy and onnxruntime load.

Where OpenBLAS can't have the memory that it reserves for its threads it ends the process or
interrupts it, and a library that half loads aborts: nothing that could still become one line. So
the limits are looked at first.
"""

from __future__ import annotations

import os

from vae_runtime.errors import VAEError

MIB = 1 << 20
# With less, numpy and onnxruntime 1.32 don't load, or abort in one of several threads.
MIN_ADDRESS_SPACE = 224 * MIB
MIN_DATA = 128 * MIB
# Below it one thread computes: each reserves some 40 MiB for OpenBLAS, and an arena of its own.
SMALL_LIMIT = 1024 * MIB
# Of a library that must be loaded before others, however much memory there is.
NO_SIGN = "static TLS block"
# What loaders and onnxruntime say where an allocation failed.
SIGNS = ("bad_alloc", "bad allocation", "failed to map segment", "cannot allocate", "to allocate")


def respect_memory_limits() -> None:
    """Make do with little memory. Raises VAEError where it is too little to begin."""
    for limit, name, least in _limits():
        if limit < least:
            raise VAEError(
                f"this process may have {limit / MIB:.0f} MiB of {name}, and numpy and onnxruntime "
                f"need {least // MIB} to begin: raise the limit"
            )
    if has_small_limit():
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def has_small_limit() -> bool:
    """Whether memory is so limited that every thread's own counts."""
    return any(limit < SMALL_LIMIT for limit, _, _ in _limits())


def _limits() -> list[tuple[int, str, int]]:
    """The limits that there are in bytes, what they limit, and what is needed of it."""
    try:
        import resource
    except ImportError:
        # Windows has none.
        return []
    kinds = (
        (resource.RLIMIT_AS, "address space (ulimit -v)", MIN_ADDRESS_SPACE),
        (resource.RLIMIT_DATA, "memory (ulimit -d)", MIN_DATA),
    )
    limits = []
    for kind, name, least in kinds:
        limit, _ = resource.getrlimit(kind)
        if limit != resource.RLIM_INFINITY:
            limits.append((limit, name, least))
    return limits


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a library that was loaded, or onnxruntime, says that an allocation failed."""
    message = str(error)
    if NO_SIGN in message:
        return False
    return any(sign in message for sign in SIGNS)
