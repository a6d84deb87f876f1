"""A .npy file written in chunks: the header first, for the number of images is known."""

from __future__ import annotations

from collections.abc import Iterable
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray


def write_npy(file: BinaryIO, chunks: Iterable[NDArray[np.float32]], shape: tuple[int, ...]) -> None:
    """Write float32 chunks (k, …) that together have `shape`, NPY format 1.0."""
    npy_format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
    for chunk in chunks:
        file.write(np.ascontiguousarray(chunk, "<f4").data)
