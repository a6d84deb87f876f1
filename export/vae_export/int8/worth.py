"""Whether an int8 graph is worth its place: faster than the fp32 one where it is taken."""

from __future__ import annotations

from vae_export.costs import gain
from vae_runtime.engine.conditions import BLOCKED_LAYOUTS

# What gains less isn't worth what it loses.
MIN_INT8_GAIN = 1.1


def is_faster_in_int8(int8: bytes, fp32: bytes) -> bool:
    """Whether `int8` is reckoned to beat `fp32` on a CPU with integer dot products.

    `precision="auto"` takes int8 on no other. `fp32` is the fastest graph with blocked layouts,
    without which float32 is slower.
    """
    return gain(int8, fp32, BLOCKED_LAYOUTS) >= MIN_INT8_GAIN
