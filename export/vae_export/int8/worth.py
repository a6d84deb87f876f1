"""Whether an int8 graph is worth its place: faster than the fp32 one where it is taken."""

from __future__ import annotations

from collections.abc import Mapping

from vae_export.costs import gain
from vae_runtime.engine.conditions import (
    ARM64,
    BLOCKED_LAYOUTS,
    INTEGER_DOT_PRODUCTS,
    Condition,
)

# What gains less isn't worth what it loses.
MIN_INT8_GAIN = 1.1
# Kinds of CPUs whose int8 kernels were measured.
KNOWN: tuple[Condition, ...] = (INTEGER_DOT_PRODUCTS, BLOCKED_LAYOUTS)

Gains = dict[str, float]


def int8_gains(int8: bytes, fp32: bytes) -> Gains:
    """How many times as fast as `fp32` a graph is reckoned to be, by each condition where it pays.

    `fp32` is the fastest graph with blocked layouts, without which float32 is slower.
    """
    return _gains(int8, fp32, {condition: condition for condition in KNOWN})


def arm_gains(int8: bytes, fp32: bytes) -> Gains:
    """The same on 64-bit ARM with integer dot products; `fp32` is the fastest graph there."""
    return _gains(int8, fp32, {INTEGER_DOT_PRODUCTS: ARM64})


def _gains(int8: bytes, fp32: bytes, rates: Mapping[Condition, Condition]) -> Gains:
    """By each condition, reckoned with the rates that hold for it."""
    gains: Gains = {}
    for condition, rate in rates.items():
        reckoned = gain(int8, fp32, rate)
        if reckoned >= MIN_INT8_GAIN:
            gains[condition] = round(reckoned, 2)
    return gains


def common_gains(parts: list[Gains]) -> Gains:
    """Those of a variant with these int8 graphs: the least, by each condition where all gain."""
    common: Gains = {}
    for condition in KNOWN:
        if parts and all(condition in gains for gains in parts):
            common[condition] = min(gains[condition] for gains in parts)
    return common
