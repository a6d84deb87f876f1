"""The optimizers that a configuration can name, each with its schedule and its loss's scale."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vae_runtime.arrays import ImageShape
from vae_train.config import OptimizerName, TrainConfig

# A matrix with fewer rows or columns is Adam's.
MIN_MUON_SIDE = 16
NEWTON_SCHULZ_ITERATIONS = 5
# Jordan's coefficients: X ← (aI + bG + cG²) X.
NEWTON_SCHULZ_A = 3.4445
NEWTON_SCHULZ_B = -4.7750
NEWTON_SCHULZ_C = 2.0315
MIN_NORM = 1e-7
# Of Muon's learning rate.
ADAM_SHARE = 0.4
# One-cycle begins with this share of its peak.
FIRST_RATE = 0.04


class KerasRMSprop(torch.optim.Optimizer):
    """RMSprop as Keras writes it: ε stands inside the square root, where torch adds it outside.

    v = rho * v + (1 - rho) * g²;  w = w - lr * g / sqrt(v + eps). The book's per-pixel loss has
    gradients near sqrt(ε) = 3e-4, so the two are different optimizers.
    """

    def __init__(
        self, parameters: Iterable[Tensor], lr: float, rho: float = 0.9, eps: float = 1e-7
    ) -> None:
        super().__init__(parameters, {"lr": lr, "rho": rho, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        loss = closure() if closure is not None else None
        for group in self.param_groups:
            self._step_group(group)
        return loss

    def _step_group(self, group: dict[str, Any]) -> None:
        """All parameters of a group in one call each: a call costs more than such small sums."""
        parameters = _with_gradients(group)
        gradients = [p.grad for p in parameters]
        velocity = [_velocity(self, p) for p in parameters]
        torch._foreach_mul_(velocity, group["rho"])
        torch._foreach_addcmul_(velocity, gradients, gradients, value=1 - group["rho"])
        denominator = torch._foreach_add(velocity, group["eps"])
        torch._foreach_sqrt_(denominator)
        torch._foreach_addcdiv_(parameters, gradients, denominator, value=-group["lr"])


class Muon(torch.optim.Optimizer):
    """Momentum whose steps are orthogonalized.

    Jordan et al. 2024, "Muon: an optimizer for hidden layers". A weight of two or more dimensions
    is the matrix `flatten(1)`: what a convolution applies to a patch, a transposed one to a pixel.
    torch.optim.Muon takes matrices only.
    """

    def __init__(self, parameters: Iterable[Tensor], lr: float, momentum: float = 0.95) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        loss = closure() if closure is not None else None
        for group in self.param_groups:
            for p in _with_gradients(group):
                velocity = _velocity(self, p)
                velocity.lerp_(p.grad, 1 - group["momentum"])
                nesterov = p.grad.lerp(velocity, group["momentum"]).flatten(1)
                rows, columns = nesterov.shape
                stretch = max(1.0, rows / columns) ** 0.5
                step = orthogonalized(nesterov).view(p.shape)
                p.add_(step, alpha=-group["lr"] * stretch)
        return loss


def _with_gradients(group: dict[str, Any]) -> list[Any]:
    return [p for p in group["params"] if p.grad is not None]


def _velocity(optimizer: torch.optim.Optimizer, parameter: Tensor) -> Tensor:
    """The running mean that an optimizer keeps of a parameter's gradients, zero at first."""
    state = optimizer.state[parameter]
    if "velocity" not in state:
        state["velocity"] = torch.zeros_like(parameter)
    velocity: Tensor = state["velocity"]
    return velocity


def orthogonalized(matrix: Tensor) -> Tensor:
    """A matrix with the singular vectors of `matrix` and singular values near 1.

    By Newton and Schulz: each iteration is X ← F X with F = aI + bG + cG² and G = X Xᵀ, so it is
    enough to follow G and the product of the F, both as small as the shorter side. Values between
    0.7 and 1.2 after five iterations are near enough. Many more would let G's rounding errors grow.
    """
    is_tall = matrix.shape[0] > matrix.shape[1]
    wide = matrix.T if is_tall else matrix
    wide = wide / (wide.norm() + MIN_NORM)
    gram = wide @ wide.T
    factor = _newton_schulz_factor(gram)
    product = factor
    for _ in range(NEWTON_SCHULZ_ITERATIONS - 1):
        gram = factor @ gram @ factor
        factor = _newton_schulz_factor(gram)
        product = factor @ product
    wide = product @ wide
    result: Tensor = wide.T if is_tall else wide
    return result


def _newton_schulz_factor(gram: Tensor) -> Tensor:
    """aI + bG + cG² in two calls: such small matrices cost by the call."""
    factor = torch.addmm(gram, gram, gram, beta=NEWTON_SCHULZ_B, alpha=NEWTON_SCHULZ_C)
    factor.diagonal().add_(NEWTON_SCHULZ_A)
    return factor


class MuonAndAdam:
    """Muon for the matrices, Adam for narrow ones and biases, as one optimizer."""

    def __init__(self, parameters: Iterable[Tensor], lr: float) -> None:
        matrices: list[Tensor] = []
        rest: list[Tensor] = []
        for p in parameters:
            if p.ndim > 1 and min(p.flatten(1).shape) >= MIN_MUON_SIDE:
                matrices.append(p)
            else:
                rest.append(p)
        adam = torch.optim.Adam([{"params": rest, "share": ADAM_SHARE}], lr, fused=True)
        self.parts = (Muon(matrices, lr), adam)

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        muon, adam = self.parts
        return [*muon.param_groups, *adam.param_groups]

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


Optimizer = torch.optim.Optimizer | MuonAndAdam


def build_optimizer(model: nn.Module, config: TrainConfig) -> Optimizer:
    """The optimizer that the configuration names, for the model's parameters."""
    return OPTIMIZERS[config.optimizer].build(model.parameters(), config.learning_rate)


def set_rate(optimizer: Optimizer, rate: float) -> None:
    """Set the learning rate of the next step; a group with a `share` gets that share of it."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("share", 1.0)


def learning_rate(config: TrainConfig, step: int, total_steps: int) -> float:
    """The rate of step 0 … total_steps - 1, by the schedule of the configuration's optimizer."""
    return OPTIMIZERS[config.optimizer].schedule(config, step, total_steps)


def loss_scale(config: TrainConfig) -> float:
    """The factor of the loss per image that is differentiated."""
    return OPTIMIZERS[config.optimizer].loss_scale(config.image_shape)


def one_cycle(config: TrainConfig, step: int, total_steps: int) -> float:
    """A cosine up from a 25th of the peak and a cosine down to zero (Smith & Topin 2019)."""
    rise = config.warmup * total_steps
    if step < rise:
        risen = 0.5 * (1 - math.cos(math.pi * step / rise))
        return config.learning_rate * (FIRST_RATE + (1 - FIRST_RATE) * risen)
    fall = (step - rise) / max(1.0, total_steps - rise)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * fall))


def constant_rate(config: TrainConfig, step: int, total_steps: int) -> float:
    """The configuration's rate in every step."""
    return config.learning_rate


def summed_over_pixels(image_shape: ImageShape) -> float:
    """The loss in nats per image."""
    return 1.0


def mean_over_pixels(image_shape: ImageShape) -> float:
    """The book's loss. RMSprop's ε makes the scale matter; Adam hardly notices."""
    channels, height, width = image_shape
    return 1 / (channels * height * width)


def _build_adam(parameters: Iterable[Tensor], lr: float) -> torch.optim.Adam:
    return torch.optim.Adam(parameters, lr, fused=True)


@dataclass(frozen=True)
class OptimizerRecipe:
    """An optimizer with the schedule of its rate and the scale of the loss it is given."""

    build: Callable[[Iterable[Tensor], float], Optimizer]
    schedule: Callable[[TrainConfig, int, int], float]
    loss_scale: Callable[[ImageShape], float]


OPTIMIZERS: dict[OptimizerName, OptimizerRecipe] = {
    "muon": OptimizerRecipe(MuonAndAdam, one_cycle, summed_over_pixels),
    "adam": OptimizerRecipe(_build_adam, one_cycle, summed_over_pixels),
    "rmsprop": OptimizerRecipe(KerasRMSprop, constant_rate, mean_over_pixels),
}
