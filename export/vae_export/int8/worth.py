"""Whether an int8 graph is worth its place: faster than the fp32 one where it is taken."""

from __future__ import annotations

from vae_export.speed import is_faster
from vae_runtime.arrays import Float32
from vae_runtime.engine.cpu import instruction_sets
from vae_runtime.engine.precision import INT8_INSTRUCTION_SETS

# What gains less isn't worth what it loses.
MIN_INT8_GAIN = 1.1


def is_faster_in_int8(int8: bytes, fp32: bytes, inputs: Float32) -> bool:
    """Whether `int8` beats `fp32` on one input and on all `inputs` (N, …).

    A CPU without integer dot products can't tell: `precision="auto"` doesn't take int8 there, and
    where it takes it, it is several times as fast.
    """
    if not can_time_int8():
        return True
    return is_faster(int8, fp32, inputs, min_gain=MIN_INT8_GAIN)


def can_time_int8() -> bool:
    """Whether this CPU has the integer dot products that int8 is taken for."""
    return bool(instruction_sets() & INT8_INSTRUCTION_SETS)
