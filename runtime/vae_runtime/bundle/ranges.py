"""What the values of a `bundle.json` may be, beyond their types; docs/bundle.md lists it.

Every function takes the path of the field, for its message, and raises ValueError.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from vae_runtime.bundle.records import GraphPrecision

GRAPH_PRECISIONS = get_args(GraphPrecision)
SHA256 = re.compile("[0-9a-f]{64}")
# Of an image in pixels, of all its numbers, and of latents.
MAX_SIDE = 1 << 14
MAX_NUMBERS = 1 << 24
MAX_LATENT_DIM = 1 << 16
MAX_VARIANTS = 64
MAX_PROVIDERS = 64
MAX_LABELS = 10_000
# Images that a graph of a fixed batch takes at a time.
MAX_BATCH = 1 << 10
# How many times as fast one graph may be reckoned to be as another.
MAX_GAIN = 1000
# Beyond it whole numbers are no float64 any more.
MAX_COUNT = 1 << 53
# Beyond it sums and squares overflow.
MAX_MAGNITUDE = 1e30
# Latents beyond it overflow networks; so may their variances be at most.
MAX_LATENT = 1e6
# exp() of it is what a float32 can hold.
MAX_LOG_VAR = 80.0
MAX_NAME = 200
MAX_DEPTH = 5
# What weights may sum to beside 1, after rounding.
WEIGHT_SLACK = 1e-3
# Correlations are at most 1, but for rounding; so are two halves of a covariance alike.
COVARIANCE_SLACK = 1e-4


def require_within(value: float, low: float, high: float, path: str) -> None:
    if not low <= value <= high:
        raise ValueError(f"{path!r} is {shown(value)}, not from {low:g} to {high:g}")


def require_name(name: str, path: str) -> str:
    """A name that can be shown: printable, and not too long."""
    if not name.isprintable() or len(name) > MAX_NAME:
        raise ValueError(f"{path!r} has a name that cannot be shown: {shown(name)}")
    return name


def require_facts(values: Mapping[str, Any], path: str, depth: int = MAX_DEPTH) -> dict[str, Any]:
    """An object of facts for people: names of numbers, texts, and lists and objects of these."""
    for name, value in values.items():
        _require_fact(value, f"{path}.{require_name(name, path)}", depth)
    return dict(values)


def require_shares(quantiles: dict[str, float]) -> dict[str, float]:
    """Quantiles, whose names are shares of the images: "0.01"."""
    for share in quantiles:
        try:
            is_share = 0 < float(share) < 1
        except ValueError:
            is_share = False
        if not is_share or len(share) > MAX_NAME:
            raise ValueError(f"'score_quantiles' has {shown(share)}, which is no share of images")
    return quantiles


def require_mixture(weights: Sequence[float], path: str) -> None:
    """Weights that are positive and sum to 1; a label may have none."""
    if not weights:
        return
    if min(weights) <= 0 or abs(sum(weights) - 1) > WEIGHT_SLACK:
        raise ValueError(f"{path!r} has weights that are not positive, or do not sum to 1")


def require_variances(variances: Sequence[float], path: str) -> None:
    for variance in variances:
        if not 0 < variance <= MAX_LATENT:
            raise ValueError(f"{path!r} holds a variance that isn't positive, or above 1e6")


def require_covariance(
    cov: tuple[tuple[float, ...], ...], path: str
) -> tuple[tuple[float, ...], ...]:
    """A matrix that can be a covariance: symmetric, of positive variances, correlations up to 1.

    That is all for two dimensions; of more, drawing from it finds out the rest.
    """
    variances = [row[i] for i, row in enumerate(cov)]
    require_variances(variances, path)
    deviations = [math.sqrt(variance) for variance in variances]
    for i, row in enumerate(cov):
        for j in range(i):
            largest = deviations[i] * deviations[j]
            is_correlation = abs(row[j]) <= largest
            if not is_correlation or abs(row[j] - cov[j][i]) > COVARIANCE_SLACK * largest:
                raise ValueError(f"{path!r} is no covariance: not symmetric, or not positive")
    return cov


def shown(value: Any) -> str:
    """A value as a message quotes it: short."""
    if isinstance(value, int) and abs(value) > MAX_COUNT:
        return "a whole number of many digits"
    text = repr(value)
    return text if len(text) <= MAX_NAME else f"{text[:MAX_NAME]}…"


def _require_fact(value: Any, path: str, depth: int) -> None:
    if depth == 0:
        raise ValueError(f"{path!r} is nested too deeply")
    if isinstance(value, str):
        require_name(value, path)
    elif isinstance(value, dict):
        require_facts(value, path, depth - 1)
    elif isinstance(value, list):
        for item in value:
            _require_fact(item, path, depth - 1)
    elif isinstance(value, int | float):
        require_within(value, -MAX_MAGNITUDE, MAX_MAGNITUDE, path)
