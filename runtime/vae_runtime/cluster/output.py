"""The folder that a run fills: one Parquet file per part, complete or not there at all.

So a run that was killed goes on with the parts that are missing. `_job.json`, which readers of
Parquet folders leave out, says what the parts were computed from, and another job is refused.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from vae_runtime.batch import ERROR, Operation
from vae_runtime.cluster.parts import PARQUET, Source
from vae_runtime.errors import VAEError
from vae_runtime.formats.files import atomic_file, make_folder

JOB = "_job.json"
PREFIX = "part-"
# In a part's metadata, so that a run which goes on knows the errors of the parts before.
ERRORS = "vae_edge.errors"
# zstd is in every reader of Parquet, and as fast as the disk.
COMPRESSION = "zstd"


class Counts(NamedTuple):
    """What is in a part."""

    rows: int
    errors: int


@dataclass(frozen=True)
class OutputFolder:
    """A folder of parts, numbered from 0."""

    path: Path
    parts: int

    def part(self, number: int) -> Path:
        digits = max(5, len(str(self.parts - 1)))
        return self.path / f"{PREFIX}{number:0{digits}d}{PARQUET}"

    def begin(self, job: dict[str, Any], force: bool) -> None:
        """Make the folder ready for a job, or for the rest of it.

        Raises VAEError where the folder holds another job's parts or anything else; with `force`
        the parts of another job are removed.
        """
        make_folder(self.path)
        found = _job_in(self.path)
        if found == job and not force:
            return
        if found is not None and force:
            for part in self.path.glob(f"{PREFIX}*{PARQUET}"):
                part.unlink()
        elif found is not None:
            raise VAEError(
                f"{self.path}: holds the parts of another job ({_difference(found, job)}); choose "
                "another folder, or replace them with --force"
            )
        elif any(self.path.iterdir()):
            raise VAEError(f"{self.path}: isn't empty and holds no job; choose another folder")
        with atomic_file(self.path / JOB) as temporary:
            temporary.write_text(json.dumps(job, indent=1) + "\n", "utf-8")

    def done(self) -> dict[int, Counts]:
        """The parts that are there."""
        found = {}
        for number in range(self.parts):
            path = self.part(number)
            if path.exists():
                found[number] = _counts(path)
        return found

    def write(self, number: int, tables: Iterable[pa.Table]) -> Counts:
        """Write a part, a row group per table, and say what is in it."""
        writer = None
        rows = 0
        errors = 0
        with atomic_file(self.part(number)) as temporary:
            try:
                for table in tables:
                    if writer is None:
                        writer = pq.ParquetWriter(temporary, table.schema, compression=COMPRESSION)
                    writer.write_table(table)
                    rows += len(table)
                    errors += len(table) - table[ERROR].to_pylist().count("")
                if writer is not None:
                    writer.add_key_value_metadata({ERRORS: str(errors)})
            finally:
                if writer is not None:
                    writer.close()
        return Counts(rows, errors)


def job_of(operation: Operation, bundle: bytes, source: Source) -> dict[str, Any]:
    """What decides what is in the parts, as JSON."""
    arguments = dataclasses.asdict(operation)
    del arguments["bundle"], arguments["threads"]
    return {
        "operation": type(operation).__name__.lower(),
        **arguments,
        "bundle": hashlib.sha256(bundle).hexdigest(),
        "source": source.fingerprint,
        "rows": source.rows,
        "parts": len(source.parts),
    }


def _job_in(folder: Path) -> dict[str, Any] | None:
    path = folder / JOB
    if not path.exists():
        return None
    try:
        job: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except ValueError:
        raise VAEError(f"{path}: damaged; choose another folder") from None
    return job


def _difference(found: dict[str, Any], wanted: dict[str, Any]) -> str:
    names = [name for name in wanted if found.get(name) != wanted[name]]
    return "another " + ", ".join(names or ["version"])


def _counts(path: Path) -> Counts:
    try:
        metadata = pq.read_metadata(path)
    except (OSError, pa.ArrowException) as error:
        raise VAEError(f"{path}: damaged, remove it and run again: {error}") from None
    errors = (metadata.metadata or {}).get(ERRORS.encode(), b"0")
    return Counts(metadata.num_rows, int(errors))
