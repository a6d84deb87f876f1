"""Places where speed is bought with something unusual, each behind a plain name.

| function | what is unusual | gain |
|---|---|---|
| `sha256_hex` | CPython's own SHA-256 by its private name | 3 MiB: hashlib loads OpenSSL |
| `inverse_normal_cdf` | the function inside statistics.NormalDist | 10 ms of import |
| `within_unit_interval` | floats compared as whole numbers | 3 of a single image's 60 µs |
| `exit_at_once` | ends without taking the interpreter apart | a few hundred digits' time |

test_fast.py compares each with its plain counterpart.
`vae_runtime.formats.png` writes PNG files itself for the same reason: Pillow's plugins take 10 ms
to load. Imports nothing heavy; numpy only where an array is at hand anyway.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Python 3.12 and later have _sha2, 3.11 has _sha256.
SHA256_MODULES = ("_sha2", "_sha256")
# Read as a whole number, the bits of a float32 in [0, 1] are at most these; NaN and negatives lie
# above.
BITS_OF_ONE = 0x3F800000
BLOCK_BYTES = 1 << 20


def sha256_hex(content: bytes) -> str:
    """The SHA-256 of `content` in hexadecimal."""
    digest = _sha256()
    digest.update(content)
    return str(digest.hexdigest())


def sha256_of_file(file: BinaryIO) -> str:
    """The same of what is left to read in an open file, some at a time."""
    digest = _sha256()
    while block := file.read(BLOCK_BYTES):
        digest.update(block)
    return str(digest.hexdigest())


def _sha256() -> Any:
    for name in SHA256_MODULES:
        try:
            return import_module(name).sha256()
        except ImportError:
            continue
    import hashlib

    return hashlib.sha256()


def inverse_normal_cdf(probability: float) -> float:
    """The quantile of N(0, 1) at `probability`, which lies between 0 and 1."""
    try:
        from _statistics import _normal_dist_inv_cdf  # type: ignore[import-not-found]
    except ImportError:
        from statistics import NormalDist

        return NormalDist().inv_cdf(probability)
    return float(_normal_dist_inv_cdf(probability, 0.0, 1.0))


def within_unit_interval(values: NDArray[np.float32]) -> bool:
    """Whether every value, at least one, lies in [0, 1]; NaN doesn't.

    One reduction in place of two. -0.0 counts as outside, so a caller must look again before it
    refuses.
    """
    import numpy as np

    return bool(np.maximum.reduce(values.view(np.uint32), None) <= BITS_OF_ONE)


def exit_at_once(status: int) -> NoReturn:
    """End the process. Files must be closed by now; stdout and stderr are flushed."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        # Nobody reads any more, and the output is not whole.
        status = status or 1
    os._exit(status)
