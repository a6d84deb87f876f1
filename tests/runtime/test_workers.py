"""What a call starts on other threads it also ends, whatever happens in between."""

from __future__ import annotations

import gc
import threading
import time

import pytest

from vae_runtime.workers import Workers


def alive() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "vae-run"]


def wait_until(condition: object) -> None:
    ends = time.monotonic() + 20
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < ends
        time.sleep(0.001)


def test_a_task_is_run_on_another_thread_once() -> None:
    workers, seen, begun = Workers(1), [], threading.Event()
    task = workers.start(lambda: (seen.append(threading.current_thread()), begun.set()))
    assert begun.wait(20)
    task.finish()
    assert len(seen) == 1
    assert seen[0] is not threading.current_thread()
    workers.close()


def test_a_task_that_no_thread_has_begun_is_taken_back() -> None:
    workers, busy, go_on, seen = Workers(1), threading.Event(), threading.Event(), []
    first = workers.start(lambda: (busy.set(), go_on.wait(20)))
    assert busy.wait(20)
    second = workers.start(lambda: seen.append("second"))
    second.finish()  # would wait for `first` otherwise
    go_on.set()
    first.finish()
    third_ran = threading.Event()
    workers.start(third_ran.set)
    assert third_ran.wait(20)  # the thread has passed the second by then
    assert seen == []
    workers.close()


def test_finish_raises_what_the_task_raised() -> None:
    workers, begun = Workers(1), threading.Event()

    def fail() -> None:
        begun.set()
        raise MemoryError("no room")

    task = workers.start(fail)
    assert begun.wait(20)
    with pytest.raises(MemoryError, match="no room"):
        task.finish()
    again = threading.Event()
    workers.start(again.set)
    assert again.wait(20)  # the thread survived it
    workers.close()


def test_threads_begin_with_the_first_task_and_end_with_their_owner() -> None:
    gc.collect()
    before = len(alive())
    workers = Workers(3)
    assert len(alive()) == before
    gates = [threading.Event() for _ in range(5)]
    tasks = [workers.start(lambda gate=gate: gate.wait(20)) for gate in gates]  # type: ignore[misc]
    assert len(alive()) == before + 3
    for gate in gates:
        gate.set()
    for task in tasks:
        task.finish()
    del workers, tasks, task
    gc.collect()
    wait_until(lambda: len(alive()) <= before)
