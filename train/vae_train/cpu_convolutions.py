"""Convolutions that compute what torch's own do, and train faster on a CPU.

Why, and how much they gain:

- `UpConv` adds its bias itself: with a bias, oneDNN's transposed convolution takes twice as long.
- `LastConv` multiplies tap by tap: with one output channel it takes 40 % of oneDNN's time.
- `channels_last` lays weights out as oneDNN wants them: a fifth off a whole training step.

tests/train/test_cpu_convolutions.py keeps them equal to torch's. In evaluation mode, and so in an
exported graph, the first two are torch's own.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

KERNEL_SIDE = 3
TAPS = KERNEL_SIDE * KERNEL_SIDE


class UpConv(nn.ConvTranspose2d):
    """3×3, stride 2, `same`: (N, C, H, W) -> (N, out, 2H, 2W)."""

    bias: Tensor

    def __init__(self, channels: int, out: int) -> None:
        super().__init__(channels, out, KERNEL_SIDE, stride=2)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        if not self.training:
            full = super().forward(x, output_size)
            return full[..., :-1, :-1]
        full = functional.conv_transpose2d(x, self.weight, stride=2)
        # The gradient of a slice is laid out in the order of its dimensions, so slicing with the
        # channels in the last place keeps the gradient channels last.
        rows_first = full.permute(0, 2, 3, 1)
        image = rows_first[:, :-1, :-1] + self.bias.to(full.dtype)
        return image.permute(0, 3, 1, 2)


class LastConv(nn.Conv2d):
    """3×3, `same`, to few channels: (N, C, H, W) -> (N, out, H, W)."""

    bias: Tensor

    def __init__(self, channels: int, out: int) -> None:
        super().__init__(channels, out, KERNEL_SIDE, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or x.device.type != "cpu":
            return super().forward(x)
        # torch leaves `apply` untyped.
        image: Tensor = TapByTap.apply(x, self.weight)  # type: ignore[no-untyped-call]
        return image + self.bias.view(-1, 1, 1)


class TapByTap(torch.autograd.Function):
    """A 3×3 `same` convolution as one matrix product for all nine taps and the sum of the results.

    x (N, C, H, W) channels last, weight (out, C, 3, 3) -> (N, out, H, W) float32. oneDNN fills its
    registers with output channels; where there is one, this takes 40 % of the time (as long as
    oneDNN where there are three). Autograd's own products of such narrow matrices would take ten
    times as long as the backward pass here.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        n, channels, height, width = x.shape
        pixels = x.permute(0, 2, 3, 1).reshape(-1, channels)
        kernel = weight.permute(2, 3, 0, 1).to(x.dtype).reshape(-1, channels)
        ctx.save_for_backward(pixels, kernel)
        taps = (kernel @ pixels.T).view(TAPS, -1, n, height, width)
        out = taps.shape[1]
        padded = torch.zeros(out, n, height + 2, width + 2, device=x.device)
        for tap, view in zip(taps, _views_of_taps(padded), strict=True):
            view.add_(tap)
        return padded[:, :, 1:-1, 1:-1].transpose(0, 1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        (gradient,) = gradients
        pixels, kernel = ctx.saved_tensors
        n, out, height, width = gradient.shape
        padded = functional.pad(gradient.transpose(0, 1), (1, 1, 1, 1))
        taps = torch.stack(_views_of_taps(padded)).to(pixels.dtype).view(len(kernel), -1)
        x_gradient = (taps.T @ kernel).view(n, height, width, -1)
        weight_gradient = (taps @ pixels).float().view(KERNEL_SIDE, KERNEL_SIDE, out, -1)
        return x_gradient.permute(0, 3, 1, 2), weight_gradient.permute(2, 3, 0, 1)


def _views_of_taps(padded: Tensor) -> list[Tensor]:
    """Where in an image (…, H + 2, W + 2) each tap of a 3×3 kernel adds its products: nine views.

    Tap (i, j) reads the pixel (y + i - 1, x + j - 1) for the output (y, x). Seen from a pixel, its
    product belongs 1 - i rows below and 1 - j columns to the right, and one more of each for the
    padding.
    """
    height = padded.shape[-2] - 2
    width = padded.shape[-1] - 2
    views = []
    for i in range(KERNEL_SIDE):
        for j in range(KERNEL_SIDE):
            top = 2 - i
            left = 2 - j
            views.append(padded[..., top : top + height, left : left + width])
    return views


def channels_last(model: nn.Module) -> None:
    """Lay the weights of the model's convolutions out channels last, in place.

    A weight with one channel has no such layout.
    """
    for parameter in model.parameters():
        if parameter.ndim == 4 and min(parameter.shape[:2]) > 1:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
