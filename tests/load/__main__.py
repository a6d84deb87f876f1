"""Memory, descriptors and threads before and after much use: python -m tests.load --seconds 600.

Linux only: it reads /proc.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import random
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np

import vae_runtime

# What allocators may keep of what was used at once.
ALLOWED_MIB = 30
PAGE = os.sysconf("SC_PAGE_SIZE")


class Footprint(NamedTuple):
    """What a process holds: memory in MiB, open descriptors, threads."""

    mib: float
    descriptors: int
    threads: int


def footprint() -> Footprint:
    gc.collect()
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / 2**20
    return Footprint(resident, len(os.listdir("/proc/self/fd")), threading.active_count())


def loads_and_closes(count: int) -> None:
    for _ in range(count):
        with vae_runtime.load(provider="cpu", threads=2) as vae:
            vae.sample(20, seed=0)


def never_closed(count: int) -> None:
    for _ in range(count):
        vae_runtime.load(provider="cpu", threads=2).sample(20, seed=0)


def mixed_calls(seconds: float, threads: int) -> None:
    """Every thread calls whatever it draws, and compares with what one thread gave."""
    vae = vae_runtime.load(provider="cpu")
    expected = vae.sample(40, seed=0)
    z = np.zeros((3, 2))
    ends = time.monotonic() + seconds
    wrong: list[str] = []

    def work(seed: int) -> None:
        rng = random.Random(seed)
        calls: list[Callable[[], object]] = [
            lambda: vae.decode(z),
            lambda: vae.encode(expected[:5]),
            lambda: vae.score(expected[:5]),
            lambda: vae.grid(4),
            lambda: vae.sample_label("4", 2, seed=1),
            lambda: list(vae.stream(50, seed=0)),
        ]
        while time.monotonic() < ends:
            rng.choice(calls)()
            if not np.array_equal(vae.sample(40, seed=0), expected):
                wrong.append("another sample than before")

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    vae.close()
    if wrong:
        raise SystemExit(wrong[0])


def forks(count: int) -> None:
    """Children forked in the middle give what their parent does."""
    context = multiprocessing.get_context("fork")
    vae = vae_runtime.load(provider="cpu", threads=2)
    expected = vae.sample(40, seed=0).tobytes()
    for _ in range(count):
        with context.Pool(2) as pool:
            for found in pool.map(_sampled, [vae] * 2):
                if found != expected:
                    raise SystemExit("a forked child gives another sample")
    vae.close()


def _sampled(vae: vae_runtime.VAE) -> bytes:
    return vae.sample(40, seed=0).tobytes()


@click.command()
@click.option("--seconds", type=float, default=60.0, show_default=True, help="Of mixed calls.")
@click.option("--threads", type=click.IntRange(1), default=16, show_default=True)
@click.option("--loads", type=click.IntRange(1), default=1000, show_default=True)
@click.option("--forks", "fork_count", type=click.IntRange(0), default=10, show_default=True)
def main(seconds: float, threads: int, loads: int, fork_count: int) -> None:
    """Print each kind's footprint before and after; end with 1 where it grew."""
    kinds: dict[str, Callable[[], None]] = {
        f"{loads} loads and closes": lambda: loads_and_closes(loads),
        f"{loads} instances never closed": lambda: never_closed(loads),
        f"{threads} threads, {seconds:g} s of mixed calls": lambda: mixed_calls(seconds, threads),
        f"{fork_count} pools of forked children": lambda: forks(fork_count),
    }
    grew = False
    for name, run in kinds.items():
        # What is loaded and allocated once is no leak.
        loads_and_closes(20)
        mixed_calls(0.5, threads)
        before = footprint()
        run()
        after = footprint()
        click.echo(
            f"{name}: {before.mib:.0f} → {after.mib:.0f} MiB, "
            f"{before.descriptors} → {after.descriptors} descriptors, "
            f"{before.threads} → {after.threads} threads"
        )
        grew = grew or after.mib > before.mib + ALLOWED_MIB
        grew = grew or after.descriptors > before.descriptors
        grew = grew or after.threads > before.threads
    sys.exit(1 if grew else 0)


if __name__ == "__main__":
    main()
