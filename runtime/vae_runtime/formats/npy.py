"""numpy files: .npy and .npz read without unpickling, .npy written in chunks.

Headers are read here rather than by numpy, which takes them for Python, and says what is wrong in
twenty kinds of exceptions. Format: numpy.lib.format, versions 1.0 to 3.0.
"""

from __future__ import annotations

import io
import math
import os
import re
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, NamedTuple

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from vae_runtime.arrays import Float32
from vae_runtime.door import LARGE_BYTES, MAX_ARRAY_BYTES, open_file, open_zip
from vae_runtime.errors import VAEError

if TYPE_CHECKING:
    import zipfile

MAGIC = b"\x93NUMPY"
ZIP_MAGIC = b"PK"
MAX_HEADER_BYTES = 10_000
MAX_RANK = 8
# Booleans, whole numbers, floats and texts; no objects, dates or records.
DESCRIPTION = re.compile(r"""['"]descr['"]\s*:\s*['"]([<>|=]?[biufU]\d{1,4})['"]""")
ORDER = re.compile(r"""['"]fortran_order['"]\s*:\s*(True|False)""")
SHAPE = re.compile(r"""['"]shape['"]\s*:\s*\(([\d,\sL]{0,200})\)""")
# What zipfile and zlib raise for damaged archives.
DAMAGED_ARCHIVE = (
    OSError,
    EOFError,
    zlib.error,
    struct.error,
    # UnicodeDecodeError, for names, is one of them.
    ValueError,
    # An encrypted member.
    RuntimeError,
    # Compressed in a way that this Python doesn't know; a subclass of RuntimeError.
    NotImplementedError,
)


class Header(NamedTuple):
    """What the first bytes of a .npy say."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    is_fortran: bool

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


class _Limits(NamedTuple):
    """Which arrays are read: of rows of `row` numbers, and at most `max_bytes`."""

    row: int | None
    max_bytes: int

    def require(self, header: Header) -> None:
        """Raise ValueError, before anything is read, for any other array."""
        if header.bytes > self.max_bytes:
            raise ValueError(f"its array has {header.bytes} bytes, more than {self.max_bytes}")
        if self.row is None:
            return
        whole = math.prod(header.shape)
        if whole and whole != self.row and math.prod(header.shape[1:]) != self.row:
            raise ValueError(f"an array of shape {header.shape} doesn't fit the model")


def load_numpy(
    path: Path,
    key: str,
    *,
    mapped: bool = False,
    row: int | None = None,
    max_bytes: int = MAX_ARRAY_BYTES,
) -> NDArray[Any]:
    """An array from .npy, or from .npz under `key` or as the only one; never unpickled.

    A large .npy, or with `mapped` any, stays on the disk, from where the system reads what is used.
    Only arrays of at most `max_bytes` are read, and of rows of `row` numbers, where that is given.
    Raises VAEError naming the file.
    """
    with open_file(path) as file:
        is_large = os.fstat(file.fileno()).st_size > LARGE_BYTES
        return _load(file, str(path), key, _Limits(row, max_bytes), mapped or is_large)


def load_numpy_bytes(
    content: bytes, key: str, row: int | None = None, max_bytes: int = MAX_ARRAY_BYTES
) -> NDArray[Any]:
    """The same from the content of a file."""
    return _load(io.BytesIO(content), "the input", key, _Limits(row, max_bytes), False)


def write_npy(file: BinaryIO, chunks: Iterable[Float32], shape: tuple[int, ...]) -> None:
    """Write float32 chunks (k, …) that together have `shape`, NPY format 1.0.

    The header comes first, for the number of images is known.
    """
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    npy_format.write_array_header_1_0(file, header)
    for chunk in chunks:
        file.write(np.ascontiguousarray(chunk, "<f4").data)


def _load(file: BinaryIO, name: str, key: str, limits: _Limits, mapped: bool) -> NDArray[Any]:
    try:
        start = file.read(len(MAGIC))
        file.seek(0)
        if start.startswith(ZIP_MAGIC):
            return _load_member(file, name, key, limits)
        header = _read_header(file)
        limits.require(header)
        if mapped:
            return _mapped(file, header)
        return _read_array(file, header)
    except DAMAGED_ARCHIVE as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise VAEError(f"{name}: not a readable numpy file: {reason.splitlines()[0]}") from None


def _load_member(file: BinaryIO, name: str, key: str, limits: _Limits) -> NDArray[Any]:
    # Most arrays are .npy.
    import zipfile

    with open_zip(file) as archive:
        names = _array_names(archive)
        if key not in names and len(names) == 1:
            (key,) = names
        if key not in names:
            raise VAEError(f"{name}: no array {key!r} in it, it has {', '.join(names) or 'none'}")
        try:
            with archive.open(names[key]) as member:
                header = _read_header(member)
                limits.require(header)
                return _read_array(member, header)
        except zipfile.BadZipFile as error:
            raise ValueError(str(error)) from None


def _array_names(archive: zipfile.ZipFile) -> dict[str, str]:
    """Names of the arrays in an archive, and of the members that hold them."""
    import zipfile

    names = {}
    for member in archive.infolist():
        name = member.filename.removesuffix(".npy")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"the array {name!r} is compressed in a way that numpy does not write")
        if name in names:
            raise ValueError(f"the array {name!r} is there twice")
        names[name] = member.filename
    return names


def _read_header(file: Any) -> Header:
    start = file.read(8)
    if start[:6] != MAGIC or len(start) < 8 or start[6] not in (1, 2, 3):
        raise ValueError("it begins with no header of numpy's")
    size_format = "<H" if start[6] == 1 else "<I"
    size_bytes = file.read(struct.calcsize(size_format))
    (size,) = struct.unpack(size_format, size_bytes)
    if size > MAX_HEADER_BYTES:
        raise ValueError(f"its header has {size} bytes")
    text = file.read(size).decode("latin-1")
    description, order, shape = DESCRIPTION.search(text), ORDER.search(text), SHAPE.search(text)
    if description is None or order is None or shape is None:
        raise ValueError("damaged, or it holds something else than numbers and texts")
    sizes = [int(part) for part in re.findall(r"\d+", shape[1])]
    if len(sizes) > MAX_RANK:
        raise ValueError(f"it has {len(sizes)} dimensions")
    try:
        dtype = np.dtype(description[1])
    except TypeError:
        raise ValueError(f"it holds {description[1]!r}, which is no type of numbers") from None
    return Header(dtype, tuple(sizes), order[1] == "True")


def _read_array(file: Any, header: Header) -> NDArray[Any]:
    content = file.read(header.bytes)
    if len(content) != header.bytes:
        raise ValueError(
            f"truncated: {len(content)} bytes where its header promises {header.bytes}"
        )
    array = np.frombuffer(content, header.dtype)
    return array.reshape(header.shape, order="F" if header.is_fortran else "C")


def _mapped(file: BinaryIO, header: Header) -> NDArray[Any]:
    start = file.tell()
    size = file.seek(0, io.SEEK_END) - start
    if size < header.bytes:
        raise ValueError(f"truncated: {size} bytes of the {header.bytes} in its header")
    if not header.bytes:
        return np.empty(header.shape, header.dtype)
    opened: Any = file
    order: Literal["F", "C"] = "F" if header.is_fortran else "C"
    array: NDArray[Any] = np.memmap(
        opened, header.dtype, "r", start, shape=header.shape, order=order
    )
    return array
