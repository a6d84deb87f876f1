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

import numpy as np

from vae_runtime.arrays import UInt8
from vae_runtime.errors import VAEError

UNSIGNED_BYTE = 0x08
GZIP_MAGIC = b"\x1f\x8b"


def read_idx(path: str | Path) -> UInt8:
    """The array in an IDX file of unsigned bytes, of any number of dimensions.

    Raises VAEError naming the file when it is missing, truncated, too long, or no IDX file of
    bytes.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
        if content.startswith(GZIP_MAGIC):
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error or "damaged gzip data"
        raise VAEError(f"{path}: cannot be read: {reason}") from error
    if not looks_like_idx(content) or not content[3:4] or not content[3]:
        raise VAEError(f"{path}: not an IDX file of unsigned bytes")
    dimensions = content[3]
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise VAEError(f"{path}: truncated in its header")
    shape = struct.unpack(f">{dimensions}I", content[4:start])
    size = len(content) - start
    promised = math.prod(shape)
    if size != promised:
        problem = "truncated" if size < promised else "too long"
        raise VAEError(
            f"{path}: {problem}: {size} bytes of data where its header promises {promised}"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


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
