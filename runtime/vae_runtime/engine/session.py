"""One graph of a bundle as a function on arrays, with several chunks in flight.

At this size threads inside the operators hardly scale, so a session has one intra-op thread and
`threads` chunks run on it at once. Chunks also bound onnxruntime's arena, which never gives back
its high-water mark.
"""

from __future__ import annotations

import math
import os
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from vae_runtime.arrays import Float32
from vae_runtime.bundle import BundleStorage, GraphFile, read_graph
from vae_runtime.engine.providers import CPU, Provider, check_active
from vae_runtime.engine.workers import Task, Workers
from vae_runtime.errors import BundleError, ProviderError
from vae_runtime.fast import within_unit_interval
from vae_runtime.graphs import GraphError, check_graph
from vae_runtime.memory_limits import has_small_limit, is_out_of_memory

# Images in one call of onnxruntime.
CPU_CHUNK = 16
ACCELERATOR_CHUNK = 1024
# The same on a CPU of a graph for images of any size: large ones come one by one.
CPU_NUMBERS = 1 << 22
# Numbers that go into and come out of one call on an accelerator, so that large images come in
# smaller chunks. A graph may take 2^10 numbers of memory for each (graphs/check.py): 16 GiB.
ACCELERATOR_NUMBERS = 1 << 22
# Failures come as exceptions; the screen belongs to the caller.
LOG_FATAL_ONLY = 4
# What onnxruntime raises, when a session is built and when it runs.
ORT_ERRORS = (
    RuntimeError,
    ort_errors.Fail,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.InvalidArgument,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
    ort_errors.EPFail,
    # A message that quotes a name of the graph which is no UTF-8.
    UnicodeDecodeError,
)
# The output that lies in [0, 1]; quantized graphs may round beyond it by this much.
IMAGE = "image"
RANGE_SLACK = 1e-3
# So many latents are added up faster by Python than by numpy: 0.4 in place of 2.5 µs.
FEW_NUMBERS = 32
# Beyond it inputs, not weights, are why a network overflows.
LARGE_INPUT = 1e6

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class _Built:
    """What one process has built of a graph."""

    process: int
    session: Any
    workers: Workers


class BundleGraph:
    """A graph of a bundle; call it with (N, …) float32 for its outputs, each (N, …) float32.

    `inputs` and `outputs` map names to shapes without the batch. A graph of a fixed `batch` runs on
    so many rows at a time, the last ones filled up. Safe to share between threads; builds its
    session at the first use, and again in a forked child. Raises BundleError for a graph whose
    bytes, operators, names, shapes or dtypes aren't the bundle's, which doesn't run, or gives NaN
    or infinity, or images outside [0, 1]; ValueError for inputs so large that it overflows;
    MemoryError where the process may have little memory and it doesn't do.
    """

    def __init__(
        self,
        storage: BundleStorage,
        file: GraphFile,
        inputs: Shapes,
        outputs: Shapes,
        provider: Provider,
        threads: int,
        *,
        any_size: bool = False,
        batch: int | None = None,
    ) -> None:
        self.path = storage.where(file.file)
        self.storage = storage
        self.file = file
        self.inputs = inputs
        self.outputs = outputs
        self.provider = provider
        self.threads = threads
        self.any_size = any_size
        self.batch = batch
        self._input_name = next(iter(inputs))
        self._output_names = list(outputs)
        self._output_shapes = list(outputs.values())
        self._gives_images = IMAGE in outputs
        shapes = (*inputs.values(), *outputs.values())
        self._numbers_per_image = sum(math.prod(shape) for shape in shapes)
        self._cpu_chunk = CPU_CHUNK
        if any_size:
            self._cpu_chunk = min(CPU_CHUNK, CPU_NUMBERS // self._numbers_per_image)
        self._built: _Built | None = None
        self._lock = threading.Lock()
        self._lock_process = os.getpid()
        # In a forked child, the parent's session is kept: freeing it there may hang.
        self._kept_from_parent: _Built | None = None

    def __call__(self, array: Float32) -> tuple[Float32, ...]:
        built = self._ready()
        n = len(array)
        chunk = self._chunk(n)
        if 0 < n <= chunk:
            return tuple(self._run(built.session, array))
        return self._run_in_chunks(built, array, chunk)

    def close(self) -> None:
        """Free the session and its threads; the next call builds them again."""
        with self._lock:
            built = self._built
            self._built = None
        if built and built.process == os.getpid():
            built.workers.close()

    def verify(self) -> None:
        """Build the session, which checks the graph's hash, names, shapes and dtypes."""
        self._ready()

    def _chunk(self, n: int) -> int:
        if self.batch is not None:
            return self.batch
        if self.provider.name != CPU:
            return max(1, min(ACCELERATOR_CHUNK, ACCELERATOR_NUMBERS // self._numbers_per_image))
        return max(1, min(self._cpu_chunk, math.ceil(n / self.threads)))

    def _run(self, session: Any, array: Float32) -> list[Float32]:
        whole = array if self.batch is None else _filled_up(array, self.batch)
        feeds = {self._input_name: np.ascontiguousarray(whole)}
        try:
            values: list[Float32] = session.run(self._output_names, feeds)
        except ORT_ERRORS as error:
            # Kernels refuse what building a session lets pass, and memory runs out in them.
            raise self._failure("run", error) from None
        for i, value in enumerate(values):
            if value.shape != (len(whole), *self._output_shapes[i]):
                raise BundleError(f"{self.path}: it gives {value.shape} for {len(whole)} inputs")
            if len(whole) != len(array):
                values[i] = value = value[: len(array)]
            if not self._is_plainly_right(value):
                values[i] = self._examined(value, self._output_names[i], array)
        return values

    def _is_plainly_right(self, value: Float32) -> bool:
        """Whether an output is finite, an image in [0, 1]; a second look is for what isn't."""
        if self._gives_images:
            return bool(value.size) and within_unit_interval(value)
        if value.size <= FEW_NUMBERS:
            return math.isfinite(sum(value.ravel().tolist()))
        return math.isfinite(np.add.reduce(value, None))

    def _examined(self, value: Float32, name: str, inputs: Float32) -> Float32:
        """An output that is right after all. Raises BundleError or ValueError for any other."""
        low = float(value.min(initial=0))
        high = float(value.max(initial=0))
        if self._gives_images and low >= -RANGE_SLACK and high <= 1 + RANGE_SLACK:
            return np.clip(value, 0, 1)
        if not self._gives_images and math.isfinite(low) and math.isfinite(high):
            return value
        largest = float(np.abs(inputs).max(initial=0))
        if largest > LARGE_INPUT:
            raise ValueError(
                f"{self._input_name} as large as {largest:.3g} overflows in {self.file.file}"
            )
        found = f"values from {low:.3g} to {high:.3g}"
        wanted = "images in [0, 1]" if self._gives_images else "finite numbers"
        raise BundleError(f"{self.path}: it gives {found} for {name!r} where {wanted} are promised")

    def _run_in_chunks(self, built: _Built, array: Float32, chunk: int) -> tuple[Float32, ...]:
        """Every thread takes the next chunk that is left, until none is."""
        n = len(array)
        results = tuple(np.empty((n, *shape), np.float32) for shape in self.outputs.values())
        starts = deque(range(0, n, chunk))

        def work() -> None:
            while True:
                try:
                    start = starts.popleft()
                except IndexError:
                    return
                try:
                    values = self._run(built.session, array[start : start + chunk])
                except BaseException:
                    starts.clear()  # The other threads end after their chunk.
                    raise
                for result, value in zip(results, values, strict=True):
                    result[start : start + chunk] = value

        # This thread is one of those that work.
        helpers = min(built.workers.count, len(starts) - 1)
        tasks = [Task(work) for _ in range(helpers)]
        try:
            for task in tasks:
                built.workers.start(task)
            work()
        finally:
            for task in tasks:
                task.wait()
        for task in tasks:
            if task.error:
                raise task.error
        return results

    def _ready(self) -> _Built:
        """This process's session and threads, built where they aren't yet."""
        process = os.getpid()
        built = self._built
        if built and built.process == process:
            return built
        if self._lock_process != process:
            # Another thread of the parent may have held the lock at the fork; in the child nobody
            # would release it.
            self._lock = threading.Lock()
            self._lock_process = process
        with self._lock:
            built = self._built
            if built and built.process == process:
                return built
            if built:
                self._require_survives_fork()
                self._kept_from_parent = built
            helpers = self.threads - 1 if self.provider.name == CPU else 0
            built = _Built(process, self._build_session(), Workers(helpers))
            self._built = built
            return built

    def _require_survives_fork(self) -> None:
        if self.provider.name != CPU:
            raise ProviderError(
                f"{self.provider.name} doesn't survive a fork: start the child with "
                "multiprocessing.get_context('spawn'), or load the model in the child"
            )

    def _build_session(self) -> Any:
        model_bytes = read_graph(self.storage, self.file)
        try:
            check_graph(
                model_bytes,
                self.inputs,
                self.outputs,
                any_size=self.any_size,
                batch=self.batch,
            )
        except GraphError as error:
            raise BundleError(f"{self.path}: {error}") from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = LOG_FATAL_ONLY
        provider_options = {key: str(value) for key, value in self.provider.options.items()}
        try:
            session = onnxruntime.InferenceSession(
                model_bytes,
                options,
                providers=[(self.provider.name, provider_options)],
                # A failure is to be an error, not a line on stdout and the CPU.
                enable_fallback=0,
            )
        except ORT_ERRORS as error:
            raise self._failure("load", error) from None
        check_active(session, self.provider)
        return session

    def _failure(self, verb: str, error: Exception) -> Exception:
        """What an exception of onnxruntime's means: on a CPU, no memory or a wrong graph."""
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        # Without a small limit it is a damaged graph that asks for more than there is.
        if self.provider.name == CPU and has_small_limit() and is_out_of_memory(error):
            return MemoryError(f"{self.path}: {reason}")
        if self.provider.name == CPU:
            return BundleError(f"{self.path}: onnxruntime cannot {verb} it: {reason}")
        return ProviderError(f"{self.provider.name} cannot {verb} {self.file.file}: {reason}")


def _filled_up(array: Float32, batch: int) -> Float32:
    """`batch` rows: those of `array`, the last one repeated."""
    missing = batch - len(array)
    if not missing:
        return array
    return np.concatenate([array, np.repeat(array[-1:], missing, axis=0)])
