"""How torch's threads wait for one another, and how many there are.

Imports nothing heavy: both must be settled before torch is imported.
"""

from __future__ import annotations

import os

# GNU's OpenMP, which torch's wheels carry, and Intel's and LLVM's, which conda and macOS have.
PASSIVE_WAITING = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}
# What a user may have set to say how threads should wait.
WAITING_VARIABLES = (*PASSIVE_WAITING, "GOMP_SPINCOUNT")


def wait_passively() -> None:
    """Let threads sleep until there is work, where the user has not said how they should wait.

    By default they spin. On a machine that does something else, a thread then spins for another one
    that the system has put aside, and keeps a third program from the CPU. Changes this process's
    environment, so only a program calls it, and before it imports torch.
    """
    for name in WAITING_VARIABLES:
        if name in os.environ:
            return
    os.environ.update(PASSIVE_WAITING)


def request_threads(count: int | None) -> None:
    """Let OpenMP start with `count` threads; None leaves the number to it.

    Call it before torch is imported, and torch.set_num_threads afterwards: torch may have been
    there already.
    """
    if count is not None:
        os.environ["OMP_NUM_THREADS"] = str(count)
