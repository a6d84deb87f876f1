"""Parts computed by Ray Data: a pool of actors, each with one model, each part one task.

Ray starts on this machine, or joins the cluster that RAY_ADDRESS names. It runs a part again whose
actor or machine died; a part that is there is whole, whoever wrote it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from vae_runtime.batch import Operation
from vae_runtime.cluster.output import Counts, OutputFolder
from vae_runtime.cluster.parts import Part
from vae_runtime.cluster.tables import as_table
from vae_runtime.engine.cpu import default_threads
from vae_runtime.errors import VAEError

STDERR = 2
ROWS_PER_CHUNK = 2000
# Of the images of a chunk, as float32.
MAX_CHUNK_BYTES = 64 << 20


@dataclass(frozen=True)
class Workers:
    """Actors: at most so many, None for as many as there is room for; what each is granted."""

    count: int | None
    cpus: int
    gpus: int


class Finished(NamedTuple):
    """A part that was written."""

    number: int
    counts: Counts


class PartWriter:
    """What an actor does: it writes parts, with one operation."""

    def __init__(self, operation: Operation, output: OutputFolder) -> None:
        self.operation = operation
        self.output = output

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Write the part of a row. What fails comes back as text: Ray's exceptions are pages."""
        number = row["number"]
        try:
            counts = self.output.write(number, self._tables(row["part"]))
        except (VAEError, ValueError) as error:
            return {"number": number, "rows": 0, "errors": 0, "failure": str(error)}
        return {"number": number, "rows": counts.rows, "errors": counts.errors, "failure": ""}

    def _tables(self, part: Part) -> Iterator[Any]:
        """The columns that stay, then the results, some rows at a time."""
        column = self.operation.column
        for batch, table in part.chunks(column, self._rows_per_chunk()):
            results = self.operation(batch)
            del results[column]
            found = as_table(results)
            for name in found.column_names:
                table = table.append_column(found.schema.field(name), found[name])
            yield table

    def _rows_per_chunk(self) -> int:
        channels, height, width = self.operation.vae.image_shape
        return max(1, min(ROWS_PER_CHUNK, MAX_CHUNK_BYTES // (4 * channels * height * width)))


def write_parts(
    parts: Mapping[int, Part], operation: Operation, output: OutputFolder, workers: Workers
) -> Iterator[Finished]:
    """Compute and write parts, which come as they are finished, in any order.

    Raises VAEError for one that can't be written or computed, and where Ray can't go on.
    """
    import ray
    from ray.exceptions import RayError

    start()
    try:
        for row in _rows(parts, operation, output, workers):
            if row["failure"]:
                raise VAEError(row["failure"])
            yield Finished(row["number"], Counts(row["rows"], row["errors"]))
    except RayError as error:
        last_line = str(error).strip().splitlines()[-1]
        raise VAEError(f"Ray can't go on: {last_line}; finished parts stay") from None
    finally:
        ray.shutdown()


def _rows(
    parts: Mapping[int, Part], operation: Operation, output: OutputFolder, workers: Workers
) -> Iterator[dict[str, Any]]:
    import ray.data

    items = []
    for number, part in parts.items():
        items.append({"number": number, "part": part})
    most = workers.count or len(items)
    # A block per part, so that what dies with a machine is its part and no more.
    dataset: Any = ray.data.from_items(items, override_num_blocks=len(items))
    writer: Any = PartWriter
    written = dataset.map(
        writer,
        fn_constructor_args=(operation, output),
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=min(most, len(items))),
        num_cpus=workers.cpus,
        num_gpus=workers.gpus,
    )
    yield from written.iter_rows()


def start() -> None:
    """Join the cluster of RAY_ADDRESS, or start Ray on this machine. The screen stays ours."""
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    import ray
    import ray.data

    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray").setLevel(logging.ERROR)
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        with _silent_stderr():
            if "RAY_ADDRESS" in os.environ:
                ray.init(**quiet)
            else:
                ray.init("local", num_cpus=default_threads(), include_dashboard=False, **quiet)
    except Exception as error:
        # Ray raises Exception itself, where a node takes more than 30 seconds to start.
        reason = str(error).strip() or type(error).__name__
        raise VAEError(f"Ray doesn't start: {reason.splitlines()[0]}") from None


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Ray's libraries write a line about their log level to stderr itself, past Python."""
    kept = os.dup(STDERR)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), STDERR)
    try:
        yield
    finally:
        os.dup2(kept, STDERR)
        os.close(kept)
