"""A thousand workers by simulation: `python -m benchmarks.thousand_cores`.

What `vae-run ray` would do on a cluster that we don't have: parts are handed out one after another
by the driver, read from storage that all share, computed, and written. The numbers that it rests on
are options; docs/scale.md has those that were measured on two cores. The storage's default is that
of a good network disk. Not modeled: the network between machines, Ray's own limits, failures.
"""

from __future__ import annotations

import heapq
import statistics
from dataclasses import dataclass, replace

import click
import numpy as np

from benchmarks.tables import header, row
from vae_runtime.console import CONTEXT_SETTINGS

WORKERS = (1, 10, 100, 1000)
SEED = 0


@dataclass(frozen=True)
class Cluster:
    """Seconds, rows and bytes of one run."""

    workers: int
    parts: int
    rows_per_part: int
    row_seconds: float
    dispatch_seconds: float
    bytes_per_row: int
    storage_bytes_per_second: float
    spread: float


@dataclass(frozen=True)
class Outcome:
    """How long a run takes, and how busy what it shares is."""

    seconds: float
    dispatcher_busy: float
    storage_busy: float
    last_part_wait: float

    @property
    def bottleneck(self) -> str:
        if self.dispatcher_busy > 0.9:
            return "the driver, which hands out parts"
        if self.storage_busy > 0.9:
            return "the storage"
        if self.last_part_wait > 0.1:
            return "stragglers at the end"
        return "the workers"


def simulate(cluster: Cluster) -> Outcome:
    """Every part: wait for a worker, for the driver, for the storage; then compute.

    The storage reads one part after another at its full rate, which is as long for all together as
    reading them side by side.
    """
    rng = np.random.default_rng(SEED)
    compute = cluster.rows_per_part * cluster.row_seconds
    factors = rng.lognormal(-(cluster.spread**2) / 2, cluster.spread, cluster.parts)
    read = cluster.rows_per_part * cluster.bytes_per_row / cluster.storage_bytes_per_second
    free = [0.0] * cluster.workers
    dispatcher = 0.0
    storage = 0.0
    ends = []
    for factor in factors:
        ready = heapq.heappop(free)
        dispatcher = max(dispatcher, ready) + cluster.dispatch_seconds
        storage = max(storage, dispatcher) + read
        end = storage + compute * factor
        ends.append(end)
        heapq.heappush(free, end)
    seconds = max(ends)
    return Outcome(
        seconds,
        cluster.parts * cluster.dispatch_seconds / seconds,
        cluster.parts * read / seconds,
        1 - statistics.median(free) / seconds,
    )


@click.command(context_settings=CONTEXT_SETTINGS)
@click.option("--rows", type=int, default=1_000_000_000, show_default=True)
@click.option("--rows-per-part", type=int, default=10_000, show_default=True)
@click.option("--row-microseconds", type=float, required=True, help="Of one core for a row.")
@click.option(
    "--dispatch-milliseconds", type=float, required=True, help="Of the driver for a part."
)
@click.option("--bytes-per-row", type=int, default=784, show_default=True)
@click.option("--storage-gigabytes", type=float, default=2.0, show_default=True, help="A second.")
@click.option("--spread", type=float, default=0.1, show_default=True, help="Of the parts' times.")
def main(
    rows: int,
    rows_per_part: int,
    row_microseconds: float,
    dispatch_milliseconds: float,
    bytes_per_row: int,
    storage_gigabytes: float,
    spread: float,
) -> None:
    """What breaks first, and at which size."""
    cluster = Cluster(
        workers=1,
        parts=-(-rows // rows_per_part),
        rows_per_part=rows_per_part,
        row_seconds=row_microseconds * 1e-6,
        dispatch_seconds=dispatch_milliseconds * 1e-3,
        bytes_per_row=bytes_per_row,
        storage_bytes_per_second=storage_gigabytes * 1e9,
        spread=spread,
    )
    click.echo(header(["workers", "rows per second", "of linear", "what limits it"]))
    for workers in WORKERS:
        outcome = simulate(replace(cluster, workers=workers))
        rate = rows / outcome.seconds
        linear = rate * row_microseconds * 1e-6 / workers
        click.echo(row([f"{workers:,}", f"{rate:,.0f}", f"{linear:.0%}", outcome.bottleneck]))


if __name__ == "__main__":
    main()
