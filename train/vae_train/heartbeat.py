"""A machine that dies says nothing: each process of a run watches for signs of life of the others.

Without it the others would wait for its gradients as long as collectives may take, hours.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

# torch lists it in its documentation, not in its __all__.
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from vae_runtime.console import EXIT_FAILED

SECONDS_BETWEEN_BEATS = 5.0
# A run ends within a minute of a machine's death.
MAX_SILENCE = 40.0


@contextmanager
def watched(rank: int, size: int) -> Iterator[None]:
    """End this process, with one line, when another of the run shows no life for 40 seconds.

    Beats go through the store by which torchrun's processes found each other.
    """
    heartbeat = Heartbeat(rank, size)
    for name, work in (("heartbeat", heartbeat.beat), ("heartbeat watch", heartbeat.watch)):
        threading.Thread(target=work, name=name, daemon=True).start()
    try:
        yield
    finally:
        heartbeat.ended.set()


class Heartbeat:
    """Beats that are counted in the store, and when those of the other processes were heard."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank = rank
        self.ended = threading.Event()
        others = [other for other in range(size) if other != rank]
        self._heard = dict.fromkeys(others, time.monotonic())
        # A connection of its own: that of the process group is blocked while others are waited for.
        self._store = TCPStore(
            os.environ["MASTER_ADDR"],
            int(os.environ["MASTER_PORT"]),
            is_master=False,
            wait_for_workers=False,
        )

    def beat(self) -> None:
        """Show life, and listen to the others, until the run ends.

        The store is the first machine's: where that one is dead this hangs or fails, and hears
        nothing any more, which `watch` notices.
        """
        beats: dict[int, bytes] = {}
        count = 0
        while not self.ended.wait(SECONDS_BETWEEN_BEATS):
            count += 1
            with suppress(RuntimeError):
                self._store.set(_key(self.rank), str(count))
                self._listen(beats)

    def _listen(self, beats: dict[int, bytes]) -> None:
        """Note who has beaten since the last time."""
        for rank in self._heard:
            key = _key(rank)
            if not self._store.check([key]):
                continue
            beat = self._store.get(key)
            if beat != beats.get(rank):
                beats[rank] = beat
                self._heard[rank] = time.monotonic()

    def watch(self) -> None:
        """End the process when another one is silent for too long."""
        while not self.ended.wait(SECONDS_BETWEEN_BEATS):
            last_heard = min(self._heard.values())
            if time.monotonic() - last_heard > MAX_SILENCE:
                silent = min(self._heard, key=lambda rank: self._heard[rank])
                sys.stderr.write(
                    f"Error: process {silent} of the run shows no life any more; continue with "
                    "--resume\n"
                )
                sys.stderr.flush()
                # The main thread waits inside a collective, which nothing ends.
                os._exit(EXIT_FAILED)


def _key(rank: int) -> str:
    return f"vae_train/heartbeat/{rank}"
