"""When a score says that an image is rare, or plainly nothing that the model knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vae_runtime.bundle import Variant

# Far off begins this many times the distance of the two quantiles below the lower one.
FAR_OFF = 2.0
LOW_QUANTILE = "0.001"
HIGH_QUANTILE = "0.05"


@dataclass(frozen=True)
class Yardstick:
    """The scores of held-out images that others are compared with.

    `quantiles` maps "0.01" to the score that one held-out image in a hundred stays below;
    `is_relative` says whether these are relative scores, see `vae_runtime.latent.scores`.
    """

    quantiles: Mapping[str, float]
    is_relative: bool

    @property
    def unknown_below(self) -> float | None:
        """The score in nats below which an image is like nothing that the model was trained on.

        None where the quantiles of 0.001 and 0.05 are lacking.
        """
        low = self.quantiles.get(LOW_QUANTILE)
        high = self.quantiles.get(HIGH_QUANTILE)
        if low is None or high is None:
            return None
        return low - FAR_OFF * (high - low)

    def is_known(self, score: float) -> bool:
        """Whether a score in nats may be that of an image like those of the training."""
        limit = self.unknown_below
        return limit is None or score >= limit


def yardstick(variant: Variant) -> Yardstick:
    """That of a variant: relative scores, or raw ones in a bundle that is older than they are."""
    if variant.relative_quantiles:
        return Yardstick(variant.relative_quantiles, is_relative=True)
    return Yardstick(variant.score_quantiles, is_relative=False)
