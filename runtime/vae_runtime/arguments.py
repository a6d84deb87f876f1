"""Checks of what callers pass besides arrays. Each names the argument; imports numpy alone.

ValueError for a value, TypeError for a type.
"""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Collection
from typing import Any

import numpy as np

# Beyond it nothing can be counted, and numpy's own errors begin.
MAX_COUNT = 1 << 40
MAX_SAMPLES = 1 << 20
SHOWN_CHARACTERS = 80


def check_count(n: Any, name: str = "n") -> int:
    """A number of images as int. Raises ValueError for anything but a whole number, 0 or more."""
    try:
        count = int(n)
        is_count = not isinstance(n, bool) and count == n and 0 <= count <= MAX_COUNT
        is_count = bool(is_count)
    except Exception:
        # What has no whole number, such as a text, an array or infinity, fails in a way of its own.
        is_count = False
    if not is_count:
        raise ValueError(
            f"{name}, a number of images, must be a whole number, 0 or more, not {shown(n)}"
        )
    return count


def whole_number(value: Any, name: str, low: int = -MAX_COUNT, high: int = MAX_COUNT) -> int:
    """An int within limits."""
    number = _index(value)
    if number is None or isinstance(value, bool):
        raise TypeError(f"{name} must be a whole number, not {shown(value)}")
    if number < low:
        raise ValueError(f"{name} must be at least {low}, not {shown(value)}")
    if number > high:
        raise ValueError(f"{name} must be at most {high}, not {shown(value)}")
    return number


def real_number(value: Any, name: str) -> float:
    """A float; whole numbers beyond every float are infinity."""
    is_number = isinstance(value, int | float | np.integer | np.floating)
    if not is_number or isinstance(value, bool):
        raise TypeError(f"{name} must be a number, not {shown(value)}")
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def finite_number(value: Any, name: str) -> float:
    """A float that is neither NaN nor infinite."""
    number = real_number(value, name)
    if not math.isfinite(number):
        raise ValueError(f"{name} must be finite, not {shown(value)}")
    return number


def pair(value: Any, name: str) -> tuple[Any, Any]:
    """Two values of a sequence."""
    # An array of no dimensions has no length.
    is_sequence = isinstance(value, tuple | list) or (isinstance(value, np.ndarray) and value.ndim)
    if not is_sequence or len(value) != 2:
        raise ValueError(f"{name} must be two numbers, not {shown(value)}")
    return value[0], value[1]


def number_pair(value: Any, name: str) -> tuple[float, float] | None:
    """Two floats, or None."""
    if value is None:
        return None
    first, second = pair(value, name)
    return real_number(first, name), real_number(second, name)


def word(value: Any, name: str) -> str:
    """A str."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a text, not {shown(value)}")
    return value


def one_of(value: Any, name: str, names: Collection[str]) -> str:
    """A str of a fixed set."""
    chosen = word(value, name)
    if chosen not in names:
        raise ValueError(f"{name} {shown(chosen)} is not one of {', '.join(names)}")
    return chosen


def truth(value: Any, name: str) -> bool:
    """A bool, Python's or numpy's."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, not {shown(value)}")
    return bool(value)


def file_path(value: Any, name: str) -> str | os.PathLike[str]:
    """What names a file."""
    if not isinstance(value, str | os.PathLike):
        raise TypeError(f"{name} must be a path, not {shown(value)}")
    return value


def generator(seed: Any) -> np.random.Generator:
    """A random generator: from a whole number, from one of numpy's own, or from None a new one."""
    number = seed_number(seed)
    return np.random.default_rng(seed if number is None else number)


def seed_number(seed: Any) -> int | None:
    """The whole number that a seed is; None for a generator of numpy's and for no seed."""
    # numpy loads its generators, 4 MiB, when they are first named.
    known = (np.random.Generator, np.random.BitGenerator, np.random.SeedSequence)
    if seed is None or isinstance(seed, known):
        return None
    # numpy takes sequences too, and crashes on some.
    number = _index(seed)
    if number is None:
        raise TypeError(f"seed must be a whole number or None, not {shown(seed)}")
    if number < 0:
        raise ValueError(f"seed must be 0 or more, not {shown(seed)}")
    return number


def _index(value: Any) -> int | None:
    """The whole number that an object says that it is, or None."""
    try:
        return operator.index(value)
    except Exception:
        # Most objects raise TypeError, numpy's masked numbers an exception of their own.
        return None


def shown(value: Any) -> str:
    """A value as a message quotes it: short."""
    try:
        text = repr(value)
    except ValueError:
        # A whole number of too many digits for Python.
        text = f"a {type(value).__name__}"
    text = " ".join(text.split())
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"
