"""Ray Data on this machine beside a single process: `python -m benchmarks.scale`.

Rows per second, start-up apart; what Ray costs per row and per block; memory of driver and actors.
"""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
import psutil

import vae_runtime
from benchmarks.tables import header, row
from vae_runtime.batch import Encode, Operation, Score
from vae_runtime.bundle.packing import packed
from vae_runtime.cluster.output import OutputFolder
from vae_runtime.cluster.parts import Source, open_source
from vae_runtime.cluster.ray_data import PartWriter, Workers, write_parts
from vae_runtime.console import CONTEXT_SETTINGS
from vae_runtime.formats.idx import read_idx
from vae_runtime.vae import EMBEDDED_BUNDLE

OPERATIONS: dict[str, Callable[[], Operation]] = {"encode": Encode, "score": Score}
ACTOR = "ray::MapWorker"
EMPTY_BLOCKS = 400
MIB = 1 << 20


class Run(NamedTuple):
    """One run on Ray: rows per second once all actors work, seconds before, peaks in MiB."""

    rate: float
    start_seconds: float
    driver_mib: float
    actor_mib: float


@click.command(context_settings=CONTEXT_SETTINGS)
@click.option("--rows", type=click.IntRange(40_000), default=200_000, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
@click.option("--mnist", type=Path, default=Path("../shared/data/mnist/train-images-idx3-ubyte.gz"))
def main(rows: int, rounds: int, mnist: Path) -> None:
    """Compare one and two actors with one process of two threads, in turns."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = open_source(write_digits(folder, rows, mnist), "image")
        for operation_name, make in OPERATIONS.items():
            _compare(operation_name, make(), source, folder, rounds)
        _memory(folder, rows, mnist)
    click.echo(f"\nRay alone: {_seconds_per_block() * 1e3:.1f} ms per block without work")


def _compare(name: str, operation: Operation, source: Source, folder: Path, rounds: int) -> None:
    rates: dict[str, list[float]] = {}
    starts = []
    for number in range(rounds):
        output = folder / f"{name}-{number}"
        alone = _single_process(operation, source, output / "alone")
        one = _on_ray(operation, source, output / "one", 1)
        two = _on_ray(operation, source, output / "two", 2)
        found = {"one process, 2 threads": alone, "1 actor": one.rate, "2 actors": two.rate}
        for label, rate in found.items():
            rates.setdefault(label, []).append(rate)
        starts += [one.start_seconds, two.start_seconds]
    click.echo(f"\n{name}, {source.rows:,} images, median of {rounds} rounds\n")
    click.echo(header(["", "rows per second", "to one process"]))
    alone = statistics.median(rates["one process, 2 threads"])
    for label, values in rates.items():
        rate = statistics.median(values)
        click.echo(row([label, f"{rate:,.0f}", f"{rate / alone:.2f}"]))
    ratios = [two / one for one, two in zip(rates["1 actor"], rates["2 actors"], strict=True)]
    click.echo(f"\n2 actors to 1: {statistics.median(ratios):.2f}")
    click.echo(f"Ray starts in {statistics.median(starts):.0f} s, first part included")


def _single_process(operation: Operation, source: Source, path: Path) -> float:
    """The same parts read, computed and written by this process, with two threads."""
    path.mkdir(parents=True)
    output = OutputFolder(path, len(source.parts))
    writer = PartWriter(replace(operation, threads=2), output)
    writer.operation.vae.verify()
    began = time.perf_counter()
    for number, part in enumerate(source.parts):
        failure = writer({"number": number, "part": part})["failure"]
        assert not failure, failure
    return source.rows / (time.perf_counter() - began)


def _on_ray(operation: Operation, source: Source, path: Path, actors: int) -> Run:
    path.mkdir(parents=True)
    output = OutputFolder(path, len(source.parts))
    packed_operation = replace(operation, bundle=packed(EMBEDDED_BUNDLE), threads=1)
    parts = dict(enumerate(source.parts))
    began = time.perf_counter()
    times = []
    rows = []
    with _watched_memory() as peaks:
        for part in write_parts(parts, packed_operation, output, Workers(actors, 1, 0)):
            times.append(time.perf_counter())
            rows.append(part.counts.rows)
    # The first parts of all actors come while some of them still start.
    first = 2 * actors
    rate = sum(rows[first:]) / (times[-1] - times[first - 1])
    return Run(rate, times[0] - began, peaks["driver"], peaks["actor"])


def _memory(folder: Path, rows: int, mnist: Path) -> None:
    click.echo("\nMemory, MiB at most: what a process holds for itself\n")
    click.echo(header(["images", "driver", "actor"]))
    for count in (rows // 4, rows):
        source = open_source(write_digits(folder, count, mnist), "image")
        run = _on_ray(Encode(), source, folder / f"memory-{count}", 1)
        click.echo(row([f"{count:,}", f"{run.driver_mib:.0f}", f"{run.actor_mib:.0f}"]))


def _seconds_per_block() -> float:
    """What a block costs that holds next to nothing, with one actor."""
    import ray
    import ray.data

    from vae_runtime.cluster.ray_data import start

    class Nothing:
        def __call__(self, item: dict[str, int]) -> dict[str, int]:
            return item

    start()
    items = [{"number": number} for number in range(EMPTY_BLOCKS)]
    dataset = ray.data.from_items(items, override_num_blocks=EMPTY_BLOCKS)
    pool = ray.data.ActorPoolStrategy(min_size=1, max_size=1)
    worker: type = Nothing
    times = []
    for _ in dataset.map(worker, compute=pool).iter_rows():
        times.append(time.perf_counter())
    ray.shutdown()
    return (times[-1] - times[0]) / (len(times) - 1)


def write_digits(folder: Path, rows: int, mnist: Path) -> Path:
    """A .npy (rows, 28, 28) of real digits, moved a little in every round: no two are alike."""
    digits = read_idx(mnist)
    path = folder / f"images-{rows}.npy"
    images = np.lib.format.open_memmap(path, "w+", np.uint8, (rows, 28, 28))
    for start in range(0, rows, len(digits)):
        some = digits[: rows - start]
        images[start : start + len(some)] = np.roll(some, start // len(digits), (1, 2))
    images.flush()
    return path


def is_actor(process: psutil.Process) -> bool:
    """Whether a process is one of Ray Data's actors."""
    try:
        return any(ACTOR in word for word in process.cmdline()[:1])
    except psutil.Error:
        return False


@contextmanager
def _watched_memory() -> Iterator[dict[str, float]]:
    """The most that this process and any actor hold for themselves, looked at five times a second:
    a source that is mapped into memory is the system's, which takes it back.
    """
    peaks = {"driver": 0.0, "actor": 0.0}
    ended = threading.Event()

    def watch() -> None:
        driver = psutil.Process()
        while not ended.wait(0.2):
            peaks["driver"] = max(peaks["driver"], _private_mib(driver))
            for child in driver.children(recursive=True):
                if is_actor(child):
                    # It may end in between.
                    with suppress(psutil.Error):
                        peaks["actor"] = max(peaks["actor"], _private_mib(child))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peaks
    finally:
        ended.set()
        thread.join()


def _private_mib(process: psutil.Process) -> float:
    info = process.memory_info()
    return float(info.rss - info.shared) / MIB


if __name__ == "__main__":
    vae_runtime.load().verify()
    main()
