"""Optimisers and schedules a configuration can name."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from vae_train.config import TrainConfig

NARROW = 16  # rows or columns: below it a matrix is Adam's
ITERATIONS = 5  # of Newton and Schulz
ADAM_SHARE = 0.4  # of Muon's learning rate


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
            for p in parameters:
                if "velocity" not in self.state[p]:
                    self.state[p]["velocity"] = torch.zeros_like(p)
            velocity = [self.state[p]["velocity"] for p in parameters]
            torch._foreach_mul_(velocity, group["rho"])
            torch._foreach_addcmul_(velocity, gradients, gradients, value=1 - group["rho"])
            denominator = torch._foreach_add(velocity, group["eps"])
            torch._foreach_sqrt_(denominator)
            torch._foreach_addcdiv_(parameters, gradients, denominator, value=-group["lr"])
        return loss


class Muon(torch.optim.Optimizer):
    """Momentum whose steps are orthogonalised (Jordan et al. 2024, "Muon: an optimizer for hidden layers").

    A weight of two or more dimensions is the matrix `flatten(1)`: what a convolution applies to a patch, a transposed
    one to a pixel. torch.optim.Muon takes matrices only.
    """

    def __init__(self, parameters: Iterable[Tensor], lr: float, momentum: float = 0.95) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        loss = closure() if closure is not None else None
        for group in self.param_groups:
            for p in (p for p in group["params"] if p.grad is not None):
                if "velocity" not in self.state[p]:
                    self.state[p]["velocity"] = torch.zeros_like(p)
                velocity = self.state[p]["velocity"]
                velocity.lerp_(p.grad, 1 - group["momentum"])
                nesterov = p.grad.lerp(velocity, group["momentum"]).flatten(1)
                rows, columns = nesterov.shape
                step = orthogonalised(nesterov).view(p.shape)
                p.add_(step, alpha=-group["lr"] * max(1.0, rows / columns) ** 0.5)
        return loss


def orthogonalised(matrix: Tensor) -> Tensor:
    """A matrix with the singular vectors of `matrix` and singular values near 1, by Newton and Schulz.

    Each iteration is X ← F X with F = aI + bG + cG² and G = X Xᵀ, so it is enough to follow G and the product of the
    F, both as small as the shorter side. The coefficients are Jordan's: values between 0.7 and 1.2 after five
    iterations are near enough. Many more would let G's rounding errors grow.
    """
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    wide = wide / (wide.norm() + 1e-7)
    gram = wide @ wide.T
    product = factor = _factor(gram)
    for _ in range(ITERATIONS - 1):
        gram = factor @ gram @ factor
        factor = _factor(gram)
        product = factor @ product
    wide = product @ wide
    result: Tensor = wide if matrix.shape[0] <= matrix.shape[1] else wide.T
    return result


def _factor(gram: Tensor) -> Tensor:
    """aI + bG + cG² in two calls: such small matrices cost by the call."""
    factor = torch.addmm(gram, gram, gram, beta=-4.7750, alpha=2.0315)
    factor.diagonal().add_(3.4445)
    return factor


class MuonAndAdam:
    """Muon for the matrices, Adam for narrow ones and biases, behind the interface of one optimiser."""

    def __init__(self, parameters: Iterable[Tensor], lr: float) -> None:
        matrices: list[Tensor] = []
        rest: list[Tensor] = []
        for p in parameters:
            (matrices if p.ndim > 1 and min(p.flatten(1).shape) >= NARROW else rest).append(p)
        adam = torch.optim.Adam([{"params": rest, "share": ADAM_SHARE}], lr, fused=True)
        self.parts = (Muon(matrices, lr), adam)

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        return [group for part in self.parts for group in part.param_groups]

    def zero_grad(self) -> None:
        for part in self.parts:
            part.zero_grad()

    def step(self) -> None:
        for part in self.parts:
            part.step()

    def state_dict(self) -> list[dict[str, Any]]:
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict(state)


def build_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer | MuonAndAdam:
    if config.optimizer == "rmsprop":
        return KerasRMSprop(model.parameters(), lr=config.learning_rate)
    if config.optimizer == "muon":
        return MuonAndAdam(model.parameters(), config.learning_rate)
    return torch.optim.Adam(model.parameters(), lr=config.learning_rate, fused=True)


def set_rate(optimizer: torch.optim.Optimizer | MuonAndAdam, rate: float) -> None:
    """The learning rate of the next step; a group with a `share` gets that much of it."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("share", 1.0)


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
