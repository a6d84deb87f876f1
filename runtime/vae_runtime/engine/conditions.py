"""Under which conditions a variant is the faster one, and which of them hold on this machine."""

from __future__ import annotations

import platform
from typing import Literal

Condition = Literal["blocked_layouts", "plain_layouts"]

# onnxruntime keeps channels in blocks of 8 or 16 for its convolutions on x86-64, nowhere else.
BLOCKED_LAYOUTS: Condition = "blocked_layouts"
PLAIN_LAYOUTS: Condition = "plain_layouts"
X86_64 = {"x86_64", "amd64"}


def has_blocked_layouts() -> bool:
    """Whether onnxruntime's CPU provider has blocked convolution kernels on this machine."""
    return platform.machine().lower() in X86_64


def conditions_here() -> frozenset[str]:
    """The conditions that hold on this machine."""
    return frozenset({BLOCKED_LAYOUTS if has_blocked_layouts() else PLAIN_LAYOUTS})
