"""The continuous Bernoulli distribution of pixels in [0, 1], by the logit η of its parameter.

Loaiza-Ganem & Cunningham 2019, "The continuous Bernoulli: fixing a pervasive error in variational
autoencoders": exp(x η) is no density over [0, 1] until it is divided by its integral (e^η - 1) / η,
which the cross-entropy leaves out. So log p(x) = x η - A(η) with A(η) = log((e^η - 1) / η), and the
mean is A'(η) = 1 / (1 - e^-η) - 1 / η. Near zero both are differences of large numbers; there they
are computed by their Taylor series.
"""

from __future__ import annotations

import torch
from torch import Tensor

# Where the series end, what is left out of A is less than 1e-9, of the mean less than 1e-8.
SERIES_REACH = 0.5


def log_normalizer(logits: Tensor) -> Tensor:
    """A(η) of each logit, in nats, with gradients that are finite everywhere."""
    is_near_zero = logits.abs() < SERIES_REACH
    square = logits.square()
    series = logits / 2 + square * (1 / 24 - square * (1 / 2880 - square / 181440))
    size = _away_from_zero(logits, is_near_zero).abs()
    # Written for η > 0, of which e^-η is small; A(-η) = A(η) - η.
    direct = logits.clamp(min=0) + torch.log(-torch.expm1(-size)) - size.log()
    return torch.where(is_near_zero, series, direct)


def mean_of_logits(logits: Tensor) -> Tensor:
    """The mean of each pixel, in (0, 1)."""
    is_near_zero = logits.abs() < SERIES_REACH
    square = logits.square()
    series = 0.5 + logits * (1 / 12 - square * (1 / 720 - square * (1 / 30240 - square / 1209600)))
    far = _away_from_zero(logits, is_near_zero)
    direct = 1 / (1 - torch.exp(-far)) - 1 / far
    return torch.where(is_near_zero, series, direct)


def mean_of_probabilities(probabilities: Tensor) -> Tensor:
    """The mean of each pixel from its parameter λ in [0, 1], the sigmoid of the logit.

    A λ that rounds to 0 or 1 counts as the nearest that float32 tells from it.
    """
    inside = probabilities.clamp(1e-7, 1 - 1e-7)
    return mean_of_logits(torch.log(inside) - torch.log(1 - inside))


def _away_from_zero(logits: Tensor, is_near_zero: Tensor) -> Tensor:
    """Logits that the direct formulas take: the others would have infinite gradients there."""
    return torch.where(is_near_zero, torch.ones_like(logits), logits)
