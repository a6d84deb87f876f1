"""One graph of a bundle as a function on arrays: verified bytes, one onnxruntime session, small chunks in flight.

At this size threads inside the operators hardly scale, so a session has one intra-op thread and `threads` chunks
run on it at once. Chunks also bound onnxruntime's arena, which never gives back its high-water mark.
"""

from __future__ import annotations

import math
import os
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as state

from vae_runtime.bundle import GraphFile, read_graph
from vae_runtime.errors import BundleError, ProviderError
from vae_runtime.providers import CPU, Provider, check_active
from vae_runtime.workers import Task, Workers

Array = NDArray[np.float32]
CHUNK = 16
DEVICE_CHUNK = 1024  # an accelerator wants large batches
ORT_ERRORS = (RuntimeError, state.Fail, state.InvalidGraph, state.InvalidProtobuf, state.InvalidArgument,
              state.NotImplemented, state.RuntimeException, state.EPFail)  # fmt: skip


class Graph:
    """A graph of a bundle; call it with (N, …) float32 for its outputs, each (N, …) float32.

    `inputs` and `outputs` map names to shapes without the batch. Safe to share between threads; rebuilds its
    session in a forked child. Raises BundleError for a graph whose bytes, names, shapes or dtypes aren't the bundle's.
    """

    def __init__(
        self,
        folder: Path,
        file: GraphFile,
        inputs: dict[str, tuple[int, ...]],
        outputs: dict[str, tuple[int, ...]],
        provider: Provider,
        threads: int,
    ) -> None:
        self.folder, self.file, self.inputs, self.outputs = folder, file, inputs, outputs
        self.provider, self.threads = provider, threads
        self._names, self._input = list(outputs), next(iter(inputs))
        self._process, self._lock = os.getpid(), threading.Lock()
        self._built: tuple[int, Any, Workers] | None = None

    def __call__(self, array: Array) -> tuple[Array, ...]:
        session, workers = self._session()
        n = len(array)
        if n == 1 or n == (size := self._chunk(n)):
            return tuple(self._run(session, array))
        results = tuple(np.empty((n, *shape), np.float32) for shape in self.outputs.values())
        waiting = deque(range(0, n, size))

        def work() -> None:
            while True:
                try:
                    start = waiting.popleft()
                except IndexError:
                    return
                try:
                    values = self._run(session, array[start : start + size])
                except BaseException:
                    waiting.clear()  # the others end after their chunk
                    raise
                for result, value in zip(results, values, strict=True):
                    result[start : start + size] = value

        tasks = [Task(work) for _ in range(min(workers.count, len(waiting) - 1))]
        try:
            for task in tasks:
                workers.start(task)
            work()  # this thread is one of them
        finally:
            for task in tasks:
                task.wait()
        for task in tasks:
            if task.error:
                raise task.error
        return results

    def _run(self, session: Any, array: Array) -> list[Array]:
        values: list[Array] = session.run(self._names, {self._input: np.ascontiguousarray(array)})
        return values

    def close(self) -> None:
        """Free the session and its threads; the next call builds them again."""
        with self._lock:
            built, self._built = self._built, None
        if built and built[0] == os.getpid():
            built[2].close()

    def verify(self) -> None:
        """Build the session, which checks the graph's hash, names, shapes and dtypes."""
        self._session()

    def _chunk(self, n: int) -> int:
        if self.provider.name != CPU:
            return DEVICE_CHUNK
        return max(1, min(CHUNK, math.ceil(n / self.threads)))

    def _session(self) -> tuple[Any, Workers]:
        built = self._built
        if built and built[0] == os.getpid():
            return built[1:]
        if self._process != os.getpid():
            # Another thread of the parent may have held the lock at the fork; in the child nobody would release it.
            self._process, self._lock = os.getpid(), threading.Lock()
        with self._lock:
            if self._built and self._built[0] != os.getpid() and self.provider.name != CPU:
                raise ProviderError(
                    f"{self.provider.name} doesn't survive a fork: start the child with "
                    "multiprocessing.get_context('spawn'), or load the model in the child"
                )
            if self._built is None or self._built[0] != os.getpid():
                workers = Workers(self.threads - 1 if self.provider.name == CPU else 0)
                # A session of the parent is left alone: freeing it in a forked child may hang.
                self._abandoned = self._built
                self._built = (os.getpid(), self._build(), workers)
            return self._built[1:]

    def _build(self) -> Any:
        content = read_graph(self.folder, self.file)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4  # failures come as exceptions, the screen belongs to the caller
        try:
            session = onnxruntime.InferenceSession(
                content,
                options,
                providers=[(self.provider.name, {k: str(v) for k, v in self.provider.options.items()})],
                enable_fallback=0,  # a failure is to be an error, not a line on stdout and the CPU
            )
        except ORT_ERRORS as error:
            reason = str(error).splitlines()[0]
            if self.provider.name == CPU:
                raise BundleError(f"{self.folder / self.file.file}: onnxruntime cannot load it: {reason}") from None
            raise ProviderError(f"{self.provider.name} cannot run {self.file.file}: {reason}") from None
        check_active(session, self.provider)
        self._check(session.get_inputs(), self.inputs, "input")
        self._check(session.get_outputs(), self.outputs, "output")
        return session

    def _check(self, found: Sequence[Any], expected: dict[str, tuple[int, ...]], kind: str) -> None:
        actual = {node.name: (node.type, tuple(node.shape[1:]), node.shape[:1]) for node in found}
        for name, shape in expected.items():
            if (
                name not in actual
                or actual[name][:2] != ("tensor(float)", shape)
                or isinstance(actual[name][2][0], int)
            ):
                raise BundleError(
                    f"{self.folder / self.file.file}: its {kind} {name!r} should be float32 (batch, "
                    f"{', '.join(map(str, shape))}); the graph has {', '.join(f'{n.name} {n.shape}' for n in found)}"
                )
        if kind == "input" and len(actual) != len(expected):
            raise BundleError(f"{self.folder / self.file.file}: it has further inputs: {', '.join(actual)}")
