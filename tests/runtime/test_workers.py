"""What a call starts on other threads it also ends, whatever happens in between."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import vae_runtime
from vae_runtime.session import Graph
from vae_runtime.workers import Task, Workers

PATIENCE = 20  # seconds, for what takes microseconds on an idle machine


@pytest.fixture
def workers() -> Iterator[Workers]:
    one = Workers(1)
    yield one
    one.close()


def alive() -> int:
    return sum(thread.name == "vae-run" for thread in threading.enumerate())


def wait_until(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.001)


def run_to_its_end(workers: Workers, function: Callable[[], None]) -> Task:
    """Start a task and wait for it once a thread has begun with it."""
    begun = threading.Event()
    task = Task(lambda: (begun.set(), function())[1])
    workers.start(task)
    assert begun.wait(PATIENCE)
    task.wait()
    return task


def test_a_task_is_run_on_another_thread_once(workers: Workers) -> None:
    seen: list[threading.Thread] = []
    task = run_to_its_end(workers, lambda: seen.append(threading.current_thread()))
    task.run()
    assert len(seen) == 1
    assert seen[0] is not threading.current_thread()


def test_a_task_that_no_thread_has_begun_is_called_off(workers: Workers) -> None:
    busy, go_on, seen = threading.Event(), threading.Event(), []
    first = Task(lambda: (busy.set(), go_on.wait(PATIENCE))[0])
    workers.start(first)
    assert busy.wait(PATIENCE)
    second = Task(lambda: seen.append("second"))
    workers.start(second)
    second.wait()  # would wait for `first` otherwise
    go_on.set()
    first.wait()
    run_to_its_end(workers, lambda: seen.append("third"))
    assert seen == ["third"]


def test_an_error_stays_with_its_task_and_the_thread_goes_on(workers: Workers) -> None:
    error = MemoryError("no room")

    def fail() -> None:
        raise error

    assert run_to_its_end(workers, fail).error is error
    assert run_to_its_end(workers, lambda: None).error is None


def test_threads_begin_with_the_first_task_and_end_with_their_owner() -> None:
    gc.collect()
    before, gate = alive(), threading.Event()
    workers = Workers(3)
    assert alive() == before
    tasks = [Task(lambda: gate.wait(PATIENCE) and None) for _ in range(5)]
    for task in tasks:
        workers.start(task)
    assert alive() == before + 3
    gate.set()
    for task in tasks:
        task.wait()
    del workers
    wait_until(lambda: alive() <= before)


def test_a_caller_goes_on_alone_where_the_system_gives_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    with vae_runtime.load(provider="cpu", threads=1) as one:
        expected = one.sample(100, seed=0)

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with vae_runtime.load(provider="cpu", threads=3) as three:
        assert np.array_equal(three.sample(100, seed=0), expected)


@pytest.mark.parametrize("where", ["in helpers", "in the caller"])
@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
def test_after_a_failed_chunk_nothing_runs_any_more_and_nothing_is_kept(
    where: str, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, caller, chunks, running = Graph._run, threading.current_thread(), [], []

    def failing(self: Graph, session: object, array: np.ndarray) -> list[np.ndarray]:
        chunks.append(len(array))
        running.append(1)
        try:
            if (threading.current_thread() is caller) == (where == "in the caller"):
                raise error("this chunk")
            time.sleep(0.01)
            return run(self, session, array)
        finally:
            running.pop()

    gc.collect()
    before = alive()
    vae = vae_runtime.load(provider="cpu", threads=3)
    with monkeypatch.context() as patch:
        patch.setattr(Graph, "_run", failing)
        with pytest.raises(error, match="this chunk"):
            vae.sample(16 * 200, seed=0)
    assert not running
    assert len(chunks) < 20  # of 200: one failure ends the others' work too
    assert vae.sample(40, seed=0).shape == (40, 1, 28, 28)
    del vae
    gc.collect()
    wait_until(lambda: alive() <= before)


def test_the_program_ends_with_idle_threads_and_an_open_model(tmp_path: Path) -> None:
    script = "import vae_runtime; vae = vae_runtime.load(threads=4, provider='cpu'); print(len(vae.sample(64, seed=0)))"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "64\n", "")
