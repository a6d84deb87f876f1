"""Where int8 variants run, and what is the fastest there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vae_export.int8.worth import Gains, arm_gains, int8_gains
from vae_export.rewrites import INT8_ARM_PASSES, INT8_PASSES, Pass
from vae_runtime.engine.conditions import ARM64, BLOCKED_LAYOUTS, PLAIN_LAYOUTS, Condition

# An int8 graph and an fp32 one -> what the first gains, see `int8_gains`.
Compare = Callable[[bytes, bytes], Gains]


@dataclass(frozen=True)
class Target:
    """The kind of CPU that an int8 variant is made for.

    Its decoder is rewritten by `passes` before it is quantized, and compared with the fastest fp32
    one with these `layouts`. Activations are `signed` bytes or unsigned ones.
    """

    name: str
    passes: tuple[Pass, ...]
    compare: Compare
    layouts: Condition
    requires: tuple[Condition, ...] = ()
    signed: bool = False


# Made for x86-64; elsewhere it is what there is.
ANY_CPU = Target("int8", INT8_PASSES, int8_gains, BLOCKED_LAYOUTS)
ARM_CPU = Target("int8-arm", INT8_ARM_PASSES, arm_gains, PLAIN_LAYOUTS, (ARM64,), signed=True)
