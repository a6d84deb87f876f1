"""Times of several functions on one input, each in a process of its own, taken in turns.

In turns, so that the machine's moods hit all of them alike; in processes, because one runtime's
idle threads spin for a while and would take the CPU from the next one's.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from vae_runtime.arrays import Float32

# Of calls in one turn, but at least one call.
TURN_SECONDS = 0.06
# Until idle threads have stopped spinning.
PAUSE_SECONDS = 0.03
MIN_TURNS = 7

Build = Callable[..., Callable[[Any], Any]]


class CannotRunError(Exception):
    """Why a worker's function cannot run here."""


class Worker:
    """A process that builds a function and times it on request."""

    def __init__(self, build: Build, arguments: Sequence[Any]) -> None:
        context = get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, build, arguments), daemon=True)
        self._process.start()
        other.close()

    def use(self, array: Float32) -> None:
        """Take this input from now on, and warm up on it."""
        self._ask(array)

    def turn(self) -> list[float]:
        """Seconds of each call of one turn."""
        times: list[float] = self._ask(None)
        return times

    def close(self) -> None:
        self._connection.close()
        self._process.join()

    def _ask(self, message: Float32 | None) -> Any:
        try:
            self._connection.send(message)
            answer = self._connection.recv()
        except (EOFError, OSError):
            raise CannotRunError("its process ended") from None
        if isinstance(answer, str):
            raise CannotRunError(answer)
        return answer


@contextmanager
def workers(build: Build, arguments: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Worker]]:
    """A worker by name, each on `build(*arguments[name])`."""
    started: dict[str, Worker] = {}
    try:
        for name, values in arguments.items():
            started[name] = Worker(build, values)
        yield started
    finally:
        for worker in started.values():
            worker.close()


def seconds(
    running: dict[str, Worker], array: Float32, budget_seconds: float
) -> dict[str, list[float]]:
    """The median seconds per call of each turn, by worker.

    Seven turns, or as many as fit in the budget per worker. A worker that cannot run is named on
    stderr and taken out of `running`.
    """
    _warm_up(running, array)
    times: dict[str, list[float]] = {name: [] for name in running}
    end = time.perf_counter() + budget_seconds * len(running)
    turns = 0
    while turns < MIN_TURNS or time.perf_counter() < end:
        turns += 1
        for name, worker in running.items():
            time.sleep(PAUSE_SECONDS)
            times[name].append(float(np.median(worker.turn())))
    return times


def seconds_per_call(run: Callable[[Any], Any], array: Any) -> list[float]:
    """The times of the calls of one turn."""
    times: list[float] = []
    end = time.perf_counter() + TURN_SECONDS
    while not times or time.perf_counter() < end:
        began = time.perf_counter()
        run(array)
        times.append(time.perf_counter() - began)
    return times


def _warm_up(running: dict[str, Worker], array: Float32) -> None:
    for name, worker in list(running.items()):
        try:
            worker.use(array)
        except CannotRunError as reason:
            print(f"{name} cannot run here: {reason}", file=sys.stderr)
            running.pop(name).close()


def _serve(connection: Connection, build: Build, arguments: Sequence[Any]) -> None:
    """Answer each message with seconds, or with the reason why there are none."""
    run: Callable[[Any], Any] | None = None
    array: Any = None
    while True:
        try:
            message = connection.recv()
        except EOFError:
            return
        try:
            if run is None:
                run = build(*arguments)
            if message is not None:
                array = message
                run(array)
            connection.send(seconds_per_call(run, array))
        except Exception as error:
            # Somebody else's runtime may fail in any way.
            connection.send(f"{type(error).__name__}: {error}".splitlines()[0])
