"""What a call starts on other threads it also ends, whatever happens in between."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.runtime.helpers import threads_alive, wait_until

import vae_runtime
from vae_runtime.engine.providers import Provider
from vae_runtime.engine.session import BundleGraph
from vae_runtime.engine.workers import Workers


@pytest.fixture
def workers() -> Iterator[Workers]:
    one = Workers(1)
    yield one
    one.close()


def test_a_caller_goes_on_alone_where_the_system_gives_no_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
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
    run, caller, chunks, running = BundleGraph._run, threading.current_thread(), [], []

    def failing(self: BundleGraph, session: object, array: np.ndarray) -> list[np.ndarray]:
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
    before = threads_alive()
    vae = vae_runtime.load(provider="cpu", threads=3)
    with monkeypatch.context() as patch:
        patch.setattr(BundleGraph, "_run", failing)
        with pytest.raises(error, match="this chunk"):
            vae.sample(16 * 200, seed=0)
    assert not running
    assert len(chunks) < 20  # of 200: one failure ends the others' work too
    assert vae.sample(40, seed=0).shape == (40, 1, 28, 28)
    del vae
    gc.collect()
    wait_until(lambda: threads_alive() <= before)


def test_the_program_ends_with_idle_threads_and_an_open_model(tmp_path: Path) -> None:
    script = (
        "import vae_runtime; vae = vae_runtime.load(threads=4, provider='cpu'); "
        "print(len(vae.sample(64, seed=0)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "64\n", "")


@pytest.mark.parametrize(
    ("shape", "provider", "chunk"),
    [
        ((1, 28, 28), "CUDAExecutionProvider", 1024),
        ((3, 512, 512), "CUDAExecutionProvider", 5),
        ((3, 4096, 4096), "CUDAExecutionProvider", 1),
        ((3, 512, 512), "CPUExecutionProvider", 16),
    ],
)
def test_large_images_come_to_an_accelerator_in_smaller_chunks(
    tiny: vae_runtime.VAE, shape: tuple[int, ...], provider: str, chunk: int
) -> None:
    file = tiny.variant.decoder
    shapes = {"z": (2,)}, {"image": shape}
    graph = BundleGraph(tiny.storage, file, *shapes, Provider(provider), threads=1)
    assert graph._chunk(10_000) == chunk
