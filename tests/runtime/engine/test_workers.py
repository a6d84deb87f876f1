"""Threads that wait for work."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator

import pytest
from tests.runtime.helpers import PATIENCE, threads_alive, wait_until

from vae_runtime.engine.workers import Task, Workers


@pytest.fixture
def workers() -> Iterator[Workers]:
    one = Workers(1)
    yield one
    one.close()


def run_to_its_end(workers: Workers, function: Callable[[], None]) -> Task:
    """Start a task and wait for it once a thread has begun with it."""
    begun = threading.Event()

    def noted() -> None:
        begun.set()
        function()

    task = Task(noted)
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
    busy = threading.Event()
    go_on = threading.Event()
    seen: list[str] = []

    def block() -> None:
        busy.set()
        go_on.wait(PATIENCE)

    first = Task(block)
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
    before, gate = threads_alive(), threading.Event()
    workers = Workers(3)
    assert threads_alive() == before

    def wait_at_gate() -> None:
        gate.wait(PATIENCE)

    tasks = [Task(wait_at_gate) for _ in range(5)]
    for task in tasks:
        workers.start(task)
    assert threads_alive() == before + 3
    gate.set()
    for task in tasks:
        task.wait()
    del workers
    wait_until(lambda: threads_alive() <= before)
