"""Gray-scale morphology with square windows, in a few numpy operations whatever the window's width.

Soille 2003, "Morphological Image Analysis", chapters 3 and 4.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Value = TypeVar("Value", bound=np.generic)


def dilated(values: NDArray[Value], radius: int) -> NDArray[Value]:
    """The maximum over the square of 2 · radius + 1 pixels around each pixel of (h, w)."""
    return _extreme(values, radius, np.maximum)


def eroded(values: NDArray[Value], radius: int) -> NDArray[Value]:
    """The minimum over the square of 2 · radius + 1 pixels around each pixel of (h, w)."""
    return _extreme(values, radius, np.minimum)


def closed(values: NDArray[Value], radius: int) -> NDArray[Value]:
    """The values (h, w) without dark things that are narrower than 2 · radius + 1 pixels."""
    return eroded(dilated(values, radius), radius)


def _extreme(values: NDArray[Value], radius: int, larger_or_smaller: np.ufunc) -> NDArray[Value]:
    for axis in (0, 1):
        values = _running_extreme(values, radius, larger_or_smaller, axis)
    return values


def _running_extreme(
    values: NDArray[Value], radius: int, larger_or_smaller: np.ufunc, axis: int
) -> NDArray[Value]:
    """Along one axis, by windows whose width doubles (van Herk 1992 has the idea)."""
    length = values.shape[axis]
    padding = [(0, 0), (0, 0)]
    padding[axis] = (radius, radius)
    window = np.pad(values, padding, mode="edge")
    width = 1
    wanted = 2 * radius + 1
    while width < wanted:
        step = min(width, wanted - width)
        end = window.shape[axis] - step
        ahead = np.take(window, range(step, step + end), axis)
        here = np.take(window, range(end), axis)
        window = larger_or_smaller(here, ahead)
        width += step
    result: NDArray[Value] = np.take(window, range(length), axis)
    return result
