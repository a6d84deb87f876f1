"""Threads that wait for work.

An executor does the same, but its futures cost 25 of the 400 µs that a small batch takes
(docs/experiments.md, "What was missed, and why").
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue


class Task:
    """A function that a worker calls once, or nobody does; `error` is what it raised."""

    def __init__(self, function: Callable[[], None]) -> None:
        self.error: BaseException | None = None
        self._function: Callable[[], None] | None = function
        # Whoever acquires this first, a worker or `wait`, decides whether the function is called.
        self._claim = threading.Lock()
        # Held until the function has returned. An Event would cost 6 µs.
        self._running = threading.Lock()
        self._running.acquire()

    def run(self) -> None:
        """Call the function, unless it was called or called off before; raises nothing."""
        if not self._claim.acquire(blocking=False):
            return
        function = self._function
        assert function is not None  # Only the holder of the claim takes it out.
        # The function may hold the caller's arrays, and an idle worker must not.
        self._function = None
        try:
            function()
        except BaseException as error:
            self.error = error
        del function
        self._running.release()

    def wait(self) -> None:
        """Wait until the function has returned; call it off where no worker has begun with it."""
        if self._claim.acquire(blocking=False):
            self._function = None
        else:
            self._running.acquire()


class Workers:
    """Up to `count` threads, begun when there is work, that end with this object or at `close`."""

    def __init__(self, count: int) -> None:
        self.count = count
        # A SimpleQueue's `put` may be interrupted by itself, which `__del__` does when garbage is
        # collected.
        self._tasks = SimpleQueue[Task | None]()
        self._started = 0
        self._lock = threading.Lock()

    def __del__(self) -> None:
        self.close()

    def start(self, task: Task) -> None:
        """Have the next free thread run `task`, for which the caller has to wait."""
        if self._started < self.count:
            self._start_thread()
        self._tasks.put(task)

    def close(self) -> None:
        """End the threads, each after what was started before."""
        for _ in range(self.count):
            self._tasks.put(None)

    def _start_thread(self) -> None:
        with self._lock:
            if self._started >= self.count:
                return
            self._started += 1
            # A daemon, so that an idle thread never holds up the end of the program.
            thread = threading.Thread(
                target=_serve, args=(self._tasks,), name="vae-run", daemon=True
            )
            # Where the system gives no thread, nobody begins with the task, and its caller does the
            # work alone.
            with suppress(RuntimeError):
                thread.start()


def _serve(tasks: SimpleQueue[Task | None]) -> None:
    """A thread's life. Idle it holds neither its `Workers` nor a task: both can be collected."""
    while task := tasks.get():
        task.run()
        del task
