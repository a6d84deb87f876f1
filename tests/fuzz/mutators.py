"""Ways to spoil bytes and values."""

from __future__ import annotations

import copy
from random import Random
from typing import Any

INTERESTING_BYTES = (0, 1, 0x7F, 0x80, 0xFF)
MAX_EDITS = 4
ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 3, 784, 1 << 31, 1 << 63, 10**21, 10**39, -(10**400),
    0.0, -0.0, 0.5, 1.5, 1e-320, 1e38, 1e308, float("nan"), float("inf"), float("-inf"),
    "", "a", "0", "fp32", "nan", "x" * 300, "..", "../x", "/etc/passwd", "\0", "\ud800", "é\x1b[2J",
    [], [[]], [0], [1, 2], [1, 28, 28], [0.5, 0.5], ["a"], [None], {}, {"a": 1}, {"": {}},
)  # fmt: skip


def spoiled_bytes(content: bytes, rng: Random) -> bytes:
    """Some bytes flipped, cut, moved, doubled or put in."""
    spoiled = bytearray(content)
    for _ in range(rng.randint(1, MAX_EDITS)):
        if not spoiled:
            break
        place = rng.randrange(len(spoiled))
        length = rng.choice((1, 2, 4, 8, 64, 512))
        kind = rng.randrange(7)
        if kind <= 1:
            spoiled[place] ^= 1 << rng.randrange(8)
        elif kind == 2:
            spoiled[place] = rng.choice(INTERESTING_BYTES)
        elif kind == 3:
            del spoiled[place : place + length]
        elif kind == 4:
            spoiled[place:place] = spoiled[place : place + length]
        elif kind == 5:
            spoiled[place:place] = rng.randbytes(length)
        else:
            del spoiled[place:]
    return bytes(spoiled)


def spoiled_value(value: Any, rng: Random) -> Any:
    """A nested value with one of its parts replaced, removed, renamed or doubled."""
    spoiled = copy.deepcopy(value)
    parent = spoiled
    while True:
        keys = list(parent) if isinstance(parent, dict) else list(range(len(parent)))
        if not keys:
            return spoiled
        key = rng.choice(keys)
        is_container = isinstance(parent[key], dict | list) and parent[key]
        if not is_container or rng.random() < 0.3:
            break
        parent = parent[key]
    kind = rng.randrange(6)
    if kind == 0:
        del parent[key]
    elif kind == 1 and isinstance(parent, dict):
        parent[str(odd_value(rng))[:50]] = parent.pop(key)
    elif kind == 2 and isinstance(parent, list):
        parent.insert(rng.randrange(len(parent) + 1), copy.deepcopy(parent[key]))
    elif kind == 3 and isinstance(parent[key], int | float):
        parent[key] = parent[key] * rng.choice((-1, 0, 2, 1000, 10**12, 10**30))
    else:
        parent[key] = odd_value(rng)
    return spoiled


def odd_value(rng: Random) -> Any:
    return copy.deepcopy(rng.choice(ODD_VALUES))
