"""How large a network is, and how much it computes for one image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

COUNTED_LAYERS = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)


@dataclass(frozen=True)
class NetworkSize:
    """Numbers of parameters, and of multiply-accumulates for one input; biases are left out."""

    parameters: int
    multiply_accumulates: int


@torch.no_grad()
def network_size(network: nn.Module, example: Tensor) -> NetworkSize:
    """Measure a network by what its layers do to `example`, a batch of one input."""
    counts: list[int] = []

    def count(layer: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        # Each place that a layer's weights are laid on multiplies them once: an output pixel of a
        # convolution, an input pixel of a transposed one.
        if isinstance(layer, nn.ConvTranspose2d):
            places = inputs[0][0, 0].numel()
        elif isinstance(layer, nn.Conv2d):
            places = output[0, 0].numel()
        else:
            places = 1
        counts.append(places * layer.weight.numel())

    hooks = []
    for layer in network.modules():
        if isinstance(layer, COUNTED_LAYERS):
            hooks.append(layer.register_forward_hook(count))
    was_training = network.training
    network.eval()
    network(example)
    network.train(was_training)
    for hook in hooks:
        hook.remove()
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return NetworkSize(parameters, sum(counts))
