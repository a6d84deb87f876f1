"""Optimisers and schedules a configuration can name."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from vae_train.config import TrainConfig


class KerasRMSprop(torch.optim.Optimizer):
    """RMSprop as Keras writes it: ε stands inside the square root, where torch adds it outside.

    v = rho * v + (1 - rho) * g²;  w = w - lr * g / sqrt(v + eps). The book's per-pixel loss has gradients
    near sqrt(ε) = 3e-4, so the two are different optimisers.
    """

    def __init__(self, parameters: Iterable[Tensor], lr: float, rho: float = 0.9, eps: float = 1e-7) -> None:
        super().__init__(parameters, {"lr": lr, "rho": rho, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        loss = closure() if closure is not None else None
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            gradients = [p.grad for p in parameters]
            velocity = [self.state[p].setdefault("velocity", torch.zeros_like(p)) for p in parameters]
            torch._foreach_mul_(velocity, group["rho"])
            torch._foreach_addcmul_(velocity, gradients, gradients, value=1 - group["rho"])
            denominator = torch._foreach_add(velocity, group["eps"])
            torch._foreach_sqrt_(denominator)
            torch._foreach_addcdiv_(parameters, gradients, denominator, value=-group["lr"])
        return loss


def build_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    if config.optimizer == "rmsprop":
        return KerasRMSprop(model.parameters(), lr=config.learning_rate)
    return torch.optim.Adam(model.parameters(), lr=config.learning_rate, fused=True)


def learning_rate(config: TrainConfig, step: int, total_steps: int) -> float:
    """The rate of step 0 … total_steps - 1.

    One-cycle is a cosine up from a 25th of the peak and a cosine down to zero (Smith & Topin 2019).
    """
    if config.optimizer == "rmsprop":
        return config.learning_rate
    rise = config.warmup * total_steps
    if step < rise:
        return config.learning_rate * (0.04 + 0.96 * 0.5 * (1 - math.cos(math.pi * step / rise)))
    fall = (step - rise) / max(1.0, total_steps - rise)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * fall))
