"""IDX files, the format of MNIST: read, checked, gzipped or not.

Format: http://yann.lecun.com/exdb/mnist – two zero bytes, a type code, the number of dimensions, each dimension
as a big-endian uint32, then the data in C order. Only unsigned bytes (type 0x08) hold images and labels.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vae_runtime.errors import VAEError

UNSIGNED_BYTE = 0x08


def read_idx(path: str | Path) -> NDArray[np.uint8]:
    """The array in an IDX file of unsigned bytes, of any number of dimensions.

    Raises VAEError naming the file when it is missing, truncated, too long, or no IDX file of bytes.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error or "damaged gzip data"
        raise VAEError(f"{path}: cannot be read: {reason}") from error
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != UNSIGNED_BYTE or not content[3]:
        raise VAEError(f"{path}: not an IDX file of unsigned bytes")
    start = 4 + 4 * content[3]
    if len(content) < start:
        raise VAEError(f"{path}: truncated in its header")
    shape = struct.unpack(f">{content[3]}I", content[4:start])
    if len(content) - start != math.prod(shape):
        raise VAEError(
            f"{path}: {'truncated' if len(content) - start < math.prod(shape) else 'too long'}: "
            f"{len(content) - start} bytes of data where its header promises {math.prod(shape)}"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def idx_bytes(array: NDArray[np.uint8]) -> bytes:
    """The content of an IDX file that holds `array`, uncompressed."""
    header = struct.pack(f">HBB{array.ndim}I", 0, UNSIGNED_BYTE, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


def write_idx(path: str | Path, array: NDArray[np.uint8]) -> None:
    """The inverse of `read_idx`, uncompressed."""
    Path(path).write_bytes(idx_bytes(array))
