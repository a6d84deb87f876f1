"""Threads that wait for work: what an executor does, without the 25 µs its futures cost a call that takes 400."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue


class Workers:
    """Up to `count` threads, begun when there is work, that end with this object or at `close`."""

    def __init__(self, count: int) -> None:
        self.count, self._tasks = count, SimpleQueue[Task | None]()
        self._threads, self._lock = 0, threading.Lock()

    def start(self, function: Callable[[], None]) -> Task:
        """Have `function` run by the next free thread; the caller has to `finish` the task."""
        if self._threads < self.count:
            self._grow()
        task = Task(function)
        self._tasks.put(task)
        return task

    def _grow(self) -> None:
        with self._lock:
            if self._threads < self.count:
                # A daemon, so that an idle one never holds up the end of the program.
                threading.Thread(target=_serve, args=(self._tasks,), name="vae-run", daemon=True).start()
                self._threads += 1

    def close(self) -> None:
        """End the threads, each after what was started before."""
        for _ in range(self.count):
            self._tasks.put(None)

    __del__ = close


class Task:
    """A function that is called once by a worker, or never."""

    def __init__(self, function: Callable[[], None]) -> None:
        self._function = [function]  # whoever takes it out decides
        self._error: BaseException | None = None
        self._done = threading.Lock()
        self._done.acquire()

    def run(self) -> None:
        """Call the function, unless `finish` came first."""
        try:
            function = self._function.pop()
        except IndexError:
            return
        try:
            function()
        except BaseException as error:
            self._error = error
        self._done.release()

    def finish(self) -> None:
        """Return once the function has returned, or at once where no worker has begun; raises what it raised."""
        try:
            self._function.pop()
        except IndexError:
            self._done.acquire()
            if self._error:
                raise self._error from None


def _serve(tasks: SimpleQueue[Task | None]) -> None:
    while task := tasks.get():
        task.run()
