"""Times of several functions on one input, each in a process of its own, taken in turns.

In turns, so that the machine's moods hit all of them alike; in processes, because one runtime's idle threads spin
for a while and would take the CPU from the next one's.
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
import torch
from numpy.typing import NDArray

TURN = 0.06  # seconds of calls, at least one
PAUSE = 0.03  # until idle threads have stopped spinning
LEAST_TURNS = 7
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

    def use(self, array: NDArray[np.float32]) -> None:
        """Take this input from now on, and warm up on it."""
        self._ask(array)

    def turn(self) -> list[float]:
        """Seconds of each call of one turn."""
        times: list[float] = self._ask(None)
        return times

    def close(self) -> None:
        self._connection.close()
        self._process.join()

    def _ask(self, message: Any) -> Any:
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


def seconds(running: dict[str, Worker], array: NDArray[np.float32], budget: float) -> dict[str, list[float]]:
    """The median seconds per call of each turn, seven turns or as many as fit in `budget` seconds per worker.

    A worker that cannot run is named on stderr and taken out of `running`.
    """
    for name, worker in list(running.items()):
        try:
            worker.use(array)
        except CannotRunError as reason:
            print(f"{name} cannot run here: {reason}", file=sys.stderr)
            running.pop(name).close()
    times: dict[str, list[float]] = {name: [] for name in running}
    end = time.perf_counter() + budget * len(running)
    while len(next(iter(times.values()))) < LEAST_TURNS or time.perf_counter() < end:
        for name, worker in running.items():
            time.sleep(PAUSE)
            times[name].append(float(np.median(worker.turn())))
    return times


def matrix_rate(threads: int) -> float:
    """GFLOP/s of torch's float32 matrix product here, at its best."""
    matrix = torch.rand(1024, 1024)
    return _rate(lambda array: array @ matrix, matrix, threads)


def convolution_rate(threads: int) -> float:
    """GFLOP/s of the same product as a 1×1 convolution: oneDNN's kernels, where `matrix_rate` has those of BLAS."""
    pixels, kernel = (
        torch.rand(shape).contiguous(memory_format=torch.channels_last)
        for shape in ((16, 1024, 8, 8), (1024, 1024, 1, 1))  # one image alone would go another way
    )
    return _rate(lambda array: torch.conv2d(array, kernel), pixels, threads)


def _rate(product: Callable[[Any], Any], array: Any, threads: int) -> float:
    torch.set_num_threads(threads)
    best = min(second for _ in range(10) for second in _calls(product, array))
    return 2 * 1024**3 / best / 1e9


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
            run = run or build(*arguments)
            if message is not None:
                array = message
                run(array)
            connection.send(_calls(run, array))
        except Exception as error:  # somebody else's runtime may fail in any way
            connection.send(f"{type(error).__name__}: {error}".splitlines()[0])


def _calls(run: Callable[[Any], Any], array: Any) -> list[float]:
    times: list[float] = []
    end = time.perf_counter() + TURN
    while not times or time.perf_counter() < end:
        began = time.perf_counter()
        run(array)
        times.append(time.perf_counter() - began)
    return times
