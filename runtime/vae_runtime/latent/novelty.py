"""How far a score must lie below those of real images until the model plainly doesn't know its
image.
"""

from __future__ import annotations

from collections.abc import Mapping

# Far off begins this many times the distance of the two quantiles below the lower one.
FAR_OFF = 2.0
LOW_QUANTILE = "0.001"
HIGH_QUANTILE = "0.05"


def unknown_below(score_quantiles: Mapping[str, float]) -> float | None:
    """The score in nats below which an image is like nothing that the model was trained on.

    `score_quantiles` are a variant's; None where it lacks those of 0.001 and 0.05.
    """
    low = score_quantiles.get(LOW_QUANTILE)
    high = score_quantiles.get(HIGH_QUANTILE)
    if low is None or high is None:
        return None
    return low - FAR_OFF * (high - low)


def is_known(score: float, score_quantiles: Mapping[str, float]) -> bool:
    """Whether a score in nats may be that of an image like those of the training."""
    limit = unknown_below(score_quantiles)
    return limit is None or score >= limit
