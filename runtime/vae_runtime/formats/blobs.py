"""Connected parts of a mask, with numpy alone.

The two-pass algorithm of Rosenfeld and Pfaltz 1966, "Sequential operations in digital picture
processing", on runs of pixels in place of single ones.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vae_runtime.arrays import Mask

Labels = NDArray[np.intp]


def connected_parts(mask: Mask) -> Labels:
    """Number the 8-connected parts of a mask (h, w) from 1 on; 0 lies outside all of them."""
    provisional = np.zeros(mask.shape, np.intp)
    forest = _Forest()
    runs_above: list[tuple[int, int, int]] = []
    for y, row in enumerate(mask):
        runs = []
        first_above = 0
        for start, end in _runs(row):
            label = forest.new_label()
            # Runs are in order: what ends before this one starts touches none of the next either.
            while first_above < len(runs_above) and runs_above[first_above][1] < start:
                first_above += 1
            for other_start, _, other_label in runs_above[first_above:]:
                if other_start > end:
                    break
                forest.join(label, other_label)
            provisional[y, start:end] = label
            runs.append((start, end, label))
        runs_above = runs
    _, numbers = np.unique(forest.roots()[provisional], return_inverse=True)
    labels: Labels = numbers.reshape(mask.shape)
    # Where nothing lies outside, the first number is that of a part.
    if mask.all():
        labels = labels + 1
    return labels


class _Forest:
    """Labels that turn out to be one, as trees whose root is the smallest label (union-find)."""

    def __init__(self) -> None:
        # Label 0 is the outside.
        self._parents = [0]

    def new_label(self) -> int:
        label = len(self._parents)
        self._parents.append(label)
        return label

    def join(self, first: int, second: int) -> None:
        first_root = self._root(first)
        second_root = self._root(second)
        self._parents[max(first_root, second_root)] = min(first_root, second_root)

    def roots(self) -> Labels:
        """The root of every label."""
        return np.array([self._root(label) for label in range(len(self._parents))], np.intp)

    def _root(self, label: int) -> int:
        while self._parents[label] != label:
            # Halving the path keeps the trees flat.
            self._parents[label] = self._parents[self._parents[label]]
            label = self._parents[label]
        return label


def _runs(row: Mask) -> list[tuple[int, int]]:
    """Start and end of each run of True in a row."""
    padded = np.concatenate(([False], row, [False]))
    changes = np.flatnonzero(padded[1:] != padded[:-1])
    return list(zip(changes[::2].tolist(), changes[1::2].tolist(), strict=True))
