"""Threads that wait for work: what an executor does, without the 25 µs its futures cost a call that takes 400."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue


class Task:
    """A function that a worker calls once, or nobody does. `error` is what it raised, after `wait`."""

    def __init__(self, function: Callable[[], None]) -> None:
        self.error: BaseException | None = None
        self._function = [function]  # whoever takes it out decides
        self._done = threading.Lock()
        self._done.acquire()

    def run(self) -> None:
        """Call the function, unless it was called or called off before; raises nothing."""
        try:
            function = self._function.pop()
        except IndexError:
            return
        try:
            function()
        except BaseException as error:
            self.error = error
        self._done.release()

    def wait(self) -> None:
        """Until the function has returned; where no worker has begun with it, call it off and return at once."""
        try:
            self._function.pop()
        except IndexError:
            self._done.acquire()


class Workers:
    """Up to `count` threads, begun when there is work, that end with this object or at `close`."""

    def __init__(self, count: int) -> None:
        # This queue's `put` may be interrupted by itself, as `__del__` does when garbage is collected.
        self.count, self._tasks = count, SimpleQueue[Task | None]()
        self._threads, self._lock = 0, threading.Lock()

    def start(self, task: Task) -> None:
        """Have the next free thread run `task`, for which the caller has to wait."""
        if self._threads < self.count:
            self._grow()
        self._tasks.put(task)

    def _grow(self) -> None:
        with self._lock:
            if self._threads < self.count:
                self._threads += 1
                # A daemon, so that an idle one never holds up the end of the program. Where the system gives no
                # thread, nobody begins with the task, and its caller does the work alone.
                with suppress(RuntimeError):
                    threading.Thread(target=_serve, args=(self._tasks,), name="vae-run", daemon=True).start()

    def close(self) -> None:
        """End the threads, each after what was started before."""
        for _ in range(self.count):
            self._tasks.put(None)

    __del__ = close


def _serve(tasks: SimpleQueue[Task | None]) -> None:
    """A thread's life. It holds on to neither its `Workers` nor, while idle, a task, so both can be collected."""
    while task := tasks.get():
        task.run()
        del task
