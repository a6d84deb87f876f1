"""numpy files: .npy and .npz read without unpickling, .npy written in chunks."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from vae_runtime.arrays import Float32
from vae_runtime.errors import VAEError

# What numpy raises for damaged or foreign files.
DAMAGED_NUMPY = (
    OSError,
    ValueError,
    EOFError,
    zlib.error,
    KeyError,
    SyntaxError,
    MemoryError,
    NotImplementedError,
)


def load_numpy(path: Path, key: str, *, mapped: bool = False) -> NDArray[Any]:
    """An array from .npy, or from .npz under `key` or as the only one; never unpickled.

    `mapped` leaves a .npy on disk, from where the system reads what is used. Raises VAEError naming
    the file.
    """
    if not path.is_file():
        raise VAEError(f"{path}: no such file")
    return _load(path, str(path), key, mapped)


def load_numpy_bytes(content: bytes, key: str) -> NDArray[Any]:
    """The same from the content of a file."""
    return _load(io.BytesIO(content), "the input", key, mapped=False)


def _load(source: Path | io.BytesIO, name: str, key: str, mapped: bool) -> NDArray[Any]:
    try:
        loaded = np.load(source, mmap_mode="r" if mapped else None, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            return _array_in(name, loaded, key)
    except DAMAGED_NUMPY as error:
        reason = str(error).splitlines()[0] if str(error) else "empty"
        if "pickle" in reason:  # numpy advises to unpickle what it doesn't know
            reason = "damaged, or it holds Python objects"
        raise VAEError(f"{name}: not a readable numpy file: {reason}") from None


def write_npy(file: BinaryIO, chunks: Iterable[Float32], shape: tuple[int, ...]) -> None:
    """Write float32 chunks (k, …) that together have `shape`, NPY format 1.0.

    The header comes first, for the number of images is known.
    """
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    npy_format.write_array_header_1_0(file, header)
    for chunk in chunks:
        file.write(np.ascontiguousarray(chunk, "<f4").data)


def _array_in(name: str, archive: Any, key: str) -> NDArray[Any]:
    names = archive.files
    if key not in names and len(names) == 1:
        key = names[0]
    if key not in names:
        raise VAEError(f"{name}: no array {key!r} in it, it has {', '.join(names) or 'none'}")
    array: NDArray[Any] = archive[key]
    return array
