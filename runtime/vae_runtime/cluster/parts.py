"""What there is to do, in parts: each part of a source becomes one file of the output.

A part is what a worker reads by itself, so it must be able to open the source: a folder that all
machines share, or this machine's where they are all on it.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vae_runtime.batch import ERROR, Batch, Column
from vae_runtime.cluster.tables import as_column
from vae_runtime.door import MAX_IMAGE_BYTES, open_file, read_limited
from vae_runtime.errors import VAEError
from vae_runtime.formats.idx import read_idx
from vae_runtime.formats.images import ArrayKind, array_kind, image_files_in
from vae_runtime.formats.npy import load_numpy

# A second or two of work: what a worker that dies costs. Of large sources parts are larger, for
# the driver hands out a hundred or two in a second (benchmarks/thousand_cores.py).
ROWS_PER_PART = 10_000
MAX_ROWS_PER_PART = 100_000
MANY_PARTS = 1000
# Of the files whose images are computed together.
MAX_CHUNK_BYTES = 64 << 20
ID = "id"
NAME = "name"
PARQUET = ".parquet"


class Chunk(NamedTuple):
    """Some rows: what is computed from, and the columns that stay beside the results."""

    batch: Batch
    kept: pa.Table


class Part(Protocol):
    """A part of a source."""

    @property
    def rows(self) -> int:
        """How many rows it has."""

    def chunks(self, column: str, size: int) -> Iterator[Chunk]:
        """Its rows in order, at most `size` at a time; `column` is the one to compute from."""


class Source(NamedTuple):
    """All parts, and a hash that changes with what is there: names, sizes, dates."""

    parts: Sequence[Part]
    fingerprint: str

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.parts)


@dataclass(frozen=True)
class FilesPart:
    """Image files of a folder."""

    folder: Path
    names: tuple[str, ...]
    first_id: int

    @property
    def rows(self) -> int:
        return len(self.names)

    def chunks(self, column: str, size: int) -> Iterator[Chunk]:
        first_id = self.first_id
        for some in self._read(size):
            names = []
            contents = np.empty(len(some), object)
            errors = []
            for row, (name, content, error) in enumerate(some):
                names.append(name)
                contents[row] = content
                errors.append(error)
            ids = np.arange(len(some)) + first_id
            first_id += len(some)
            kept = pa.table({ID: ids, NAME: pa.array(names, pa.string())})
            yield Chunk({column: contents, ERROR: np.array(errors, np.str_)}, kept)

    def _read(self, size: int) -> Iterator[list[tuple[str, bytes, str]]]:
        """Names, contents and errors, of so many files that memory holds them."""
        some = []
        bytes_read = 0
        for name in self.names:
            content, error = self._content(name)
            some.append((name, content, error))
            bytes_read += len(content)
            if len(some) == size or bytes_read > MAX_CHUNK_BYTES:
                yield some
                some = []
                bytes_read = 0
        if some:
            yield some

    def _content(self, name: str) -> tuple[bytes, str]:
        """The bytes of a file, or why there are none."""
        path = self.folder / name
        try:
            with open_file(path) as file:
                return read_limited(file, MAX_IMAGE_BYTES, str(path)), ""
        except VAEError as error:
            return b"", str(error)


@dataclass(frozen=True)
class ArrayPart:
    """Rows of an array in a .npy, .npz or IDX file."""

    path: Path
    start: int
    stop: int

    @property
    def rows(self) -> int:
        return self.stop - self.start

    def chunks(self, column: str, size: int) -> Iterator[Chunk]:
        array = _array(self.path, column)
        for start in range(self.start, self.stop, size):
            stop = min(start + size, self.stop)
            kept = pa.table({ID: np.arange(start, stop)})
            yield Chunk({column: np.asarray(array[start:stop])}, kept)


@dataclass(frozen=True)
class RowGroupPart:
    """A row group of a Parquet file."""

    path: Path
    group: int
    rows: int
    first_id: int

    def chunks(self, column: str, size: int) -> Iterator[Chunk]:
        first = self.first_id
        with pq.ParquetFile(self.path) as file:
            for some in file.iter_batches(size, row_groups=[self.group]):
                table = pa.Table.from_batches([some])
                yield _chunk_of(table, column, first)
                first += len(table)


def open_source(path: Path, column: str) -> Source:
    """A folder of images, or of Parquet files; a .parquet, .npy, .npz or IDX file.

    Raises VAEError for one that is missing, empty or of another kind.
    """
    if path.is_dir():
        tables = sorted(path.rglob("*" + PARQUET))
        source = _of_tables(tables, column) if tables else _of_images(path)
    elif path.suffix.lower() == PARQUET:
        source = _of_tables([path], column)
    else:
        source = _of_array(path, column)
    if not source.rows:
        raise VAEError(f"{path}: there is nothing in it to compute from")
    return source


def _of_images(folder: Path) -> Source:
    files = image_files_in(folder)
    names = [str(file.relative_to(folder)) for file in files]
    parts = []
    size = _rows_per_part(len(names))
    for start in range(0, len(names), size):
        some = tuple(names[start : start + size])
        parts.append(FilesPart(folder.absolute(), some, start))
    return Source(parts, _fingerprint(files))


def _of_array(path: Path, column: str) -> Source:
    rows = len(_array(path, column))
    parts = []
    size = _rows_per_part(rows)
    for start in range(0, rows, size):
        parts.append(ArrayPart(path.absolute(), start, min(start + size, rows)))
    return Source(parts, _fingerprint([path]))


def _of_tables(paths: Sequence[Path], column: str) -> Source:
    parts = []
    first_id = 0
    for path in paths:
        try:
            metadata = pq.read_metadata(path)
        except (OSError, pa.ArrowException) as error:
            raise VAEError(f"{path}: not a readable Parquet file: {error}") from None
        names = metadata.schema.to_arrow_schema().names
        if column not in names:
            raise VAEError(f"{path}: no column {column!r}, it has {', '.join(names)}; see --column")
        for group in range(metadata.num_row_groups):
            rows = metadata.row_group(group).num_rows
            if rows:
                parts.append(RowGroupPart(path.absolute(), group, rows, first_id))
            first_id += rows
    return Source(parts, _fingerprint(paths))


def _rows_per_part(rows: int) -> int:
    return max(ROWS_PER_PART, min(rows // MANY_PARTS, MAX_ROWS_PER_PART))


def _array(path: Path, column: str) -> Column:
    """The array in a file; a .npy stays on the disk, from where the rows that are used are read.

    A .npz or an IDX file can only be read whole, so a worker keeps it for its next part.
    """
    kind = array_kind(path)
    if kind is None:
        raise VAEError(
            f"{path}: a folder of images, or a .parquet, .npy, .npz or IDX file was expected"
        )
    # A file that is missing, or none, is one clear line.
    with open_file(path):
        fingerprint = _fingerprint([path])
    return _kept_array(path, column, kind, fingerprint)


@functools.lru_cache(1)
def _kept_array(path: Path, column: str, kind: ArrayKind, fingerprint: str) -> Column:
    """The array last read; a file that was changed has another `fingerprint`."""
    if kind == "idx":
        return read_idx(path)
    return load_numpy(path, column, mapped=True)


def _chunk_of(table: pa.Table, column: str, first_id: int) -> Chunk:
    batch = {column: as_column(table[column])}
    if ERROR in table.column_names:
        batch[ERROR] = as_column(table[ERROR])
    kept = table.drop_columns(list(batch))
    if ID not in kept.column_names:
        kept = kept.add_column(0, ID, pa.array(np.arange(len(table)) + first_id))
    return Chunk(batch, kept)


def _fingerprint(paths: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        found = path.stat()
        digest.update(f"{path.name} {found.st_size} {found.st_mtime_ns}\n".encode())
    return digest.hexdigest()
