"""Under which conditions a variant is the faster one, and which of them hold on this machine."""

from __future__ import annotations

import platform
from collections.abc import Set
from typing import Literal

Condition = Literal["blocked_layouts", "plain_layouts", "arm64", "integer_dot_products", "by_name"]

# onnxruntime keeps channels in blocks of 8 or 16 for its convolutions on x86-64, nowhere else.
BLOCKED_LAYOUTS: Condition = "blocked_layouts"
PLAIN_LAYOUTS: Condition = "plain_layouts"
# Where onnxruntime multiplies signed bytes faster than unsigned ones.
ARM64: Condition = "arm64"
# A CPU that computes several products of bytes at once; without them int8 gains less.
INTEGER_DOT_PRODUCTS: Condition = "integer_dot_products"
# Linux's names for them: x86 with AVX-512 or AVX, ARM.
DOT_PRODUCT_SETS = {"avx512_vnni", "avx_vnni", "avx512vnni", "asimddp", "i8mm"}
# Without dot products int8 was measured with AVX2 alone.
MEASURED_SET = "avx2"
# Holds nowhere: such a variant runs where it is asked for by its name.
BY_NAME: Condition = "by_name"
X86_64 = {"x86_64", "amd64"}
ARM64_MACHINES = {"aarch64", "arm64"}


def has_blocked_layouts() -> bool:
    """Whether onnxruntime's CPU provider has blocked convolution kernels on this machine."""
    return platform.machine().lower() in X86_64


def conditions_here() -> frozenset[str]:
    """The conditions that hold on this machine."""
    conditions = {BLOCKED_LAYOUTS if has_blocked_layouts() else PLAIN_LAYOUTS}
    if platform.machine().lower() in ARM64_MACHINES:
        conditions.add(ARM64)
    return frozenset(conditions)


def int8_condition(flags: Set[str]) -> Condition | None:
    """Under which condition int8 runs on a CPU with these instruction sets.

    None where nothing is known of it: without integer dot products on anything but AVX2.
    """
    if flags & DOT_PRODUCT_SETS:
        return INTEGER_DOT_PRODUCTS
    return BLOCKED_LAYOUTS if MEASURED_SET in flags else None
