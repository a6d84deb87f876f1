"""IDX files, the format of MNIST: read, checked, gzipped or not.

Format: http://yann.lecun.com/exdb/mnist – two zero bytes, a type code, the number of dimensions,
each dimension as a big-endian uint32, then the data in C order. Only unsigned bytes (type 0x08)
hold images and labels.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from vae_runtime.arrays import UInt8
from vae_runtime.door import BLOCK_BYTES, LARGE_BYTES, MAX_IDX_BYTES, open_file
from vae_runtime.errors import VAEError

UNSIGNED_BYTE = 0x08
GZIP_MAGIC = b"\x1f\x8b"
MAX_RANK = 8


def read_idx(path: str | Path) -> UInt8:
    """The array in an IDX file of unsigned bytes, of any number of dimensions.

    Raises VAEError naming the file when it is missing, truncated, too long, too large, or no IDX
    file of bytes.
    """
    path = Path(path)
    with open_file(path, MAX_IDX_BYTES) as file:
        try:
            is_gzip = file.read(2) == GZIP_MAGIC
            file.seek(0)
            if is_gzip:
                with gzip.open(file) as unpacked:
                    return _read(path, unpacked)
            return _read(path, file)
        except (OSError, EOFError, zlib.error) as error:
            reason = getattr(error, "strerror", None) or error or "damaged gzip data"
            raise VAEError(f"{path}: cannot be read: {reason}") from error


def _read(path: Path, file: Any) -> UInt8:
    """The array in an open file, gzip's or a plain one."""
    start = file.read(4)
    if not looks_like_idx(start) or len(start) < 4 or not 1 <= start[3] <= MAX_RANK:
        raise VAEError(f"{path}: not an IDX file of unsigned bytes")
    sizes = file.read(4 * start[3])
    if len(sizes) < 4 * start[3]:
        raise VAEError(f"{path}: truncated in its header")
    shape = struct.unpack(f">{start[3]}I", sizes)
    promised = math.prod(shape)
    if promised > MAX_IDX_BYTES:
        raise VAEError(f"{path}: its header promises {promised} bytes, more than {MAX_IDX_BYTES}")
    if promised > LARGE_BYTES:
        # Whether it is all there is found out before it takes memory.
        place = file.tell()
        _require_size(path, _count_bytes(file, promised), promised)
        file.seek(place)
    content = file.read(promised)
    _require_size(path, len(content) + len(file.read(1)), promised)
    return np.frombuffer(content, np.uint8).reshape(shape)


def _count_bytes(file: Any, at_most: int) -> int:
    """How many bytes are left in a file, or some more than `at_most`."""
    count = 0
    while block := file.read(BLOCK_BYTES):
        count += len(block)
        if count > at_most:
            break
    return count


def _require_size(path: Path, size: int, promised: int) -> None:
    if size == promised:
        return
    found = f"truncated: {size} bytes" if size < promised else "too long: more bytes"
    raise VAEError(f"{path}: {found} of data where its header promises {promised}")


def looks_like_idx(content: bytes) -> bool:
    """Whether a file that begins with `content`, three bytes or more, may be IDX."""
    return content[:2] == b"\0\0" and content[2:3] == bytes([UNSIGNED_BYTE])


def idx_bytes(array: UInt8) -> bytes:
    """The content of an IDX file that holds `array`, uncompressed."""
    header = struct.pack(f">HBB{array.ndim}I", 0, UNSIGNED_BYTE, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


def write_idx(path: str | Path, array: UInt8) -> None:
    """The inverse of `read_idx`, uncompressed."""
    Path(path).write_bytes(idx_bytes(array))
