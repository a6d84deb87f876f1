"""Connected parts of a mask."""

import numpy as np
from hypothesis import given
from hypothesis.extra import numpy as hnp

from vae_runtime.formats.blobs import connected_parts


def flooded(mask: np.ndarray) -> np.ndarray:
    """The same by the plainest of methods."""
    labels = np.zeros(mask.shape, int)
    count = 0
    for start in zip(*np.nonzero(mask), strict=True):
        if labels[start]:
            continue
        count += 1
        waiting = [start]
        while waiting:
            y, x = waiting.pop()
            inside = 0 <= y < mask.shape[0] and 0 <= x < mask.shape[1]
            if not inside or not mask[y, x] or labels[y, x]:
                continue
            labels[y, x] = count
            waiting += [(y + i, x + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    return labels


@given(hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9)))
def test_parts_are_those_of_a_flood_fill(mask: np.ndarray) -> None:
    found = connected_parts(mask)
    expected = flooded(mask)
    assert (found == 0).tolist() == (expected == 0).tolist()
    pairs = set(zip(found.ravel().tolist(), expected.ravel().tolist(), strict=True))
    assert len(pairs) == len(np.unique(found)) == len(np.unique(expected))
