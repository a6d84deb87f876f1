"""How fast this CPU multiplies at its best: what every other speed is compared with."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.turns import seconds_per_call

SIDE = 1024
TURNS = 10


def matrix_rate(threads: int) -> float:
    """GFLOP/s of torch's float32 matrix product, which BLAS computes."""
    matrix = torch.rand(SIDE, SIDE)
    return _best_rate(lambda array: array @ matrix, matrix, threads)


def convolution_rate(threads: int) -> float:
    """GFLOP/s of the same product as a 1×1 convolution, which oneDNN computes."""
    # 16 images of 8×8 pixels; one image alone would go another way.
    pixels = torch.rand(16, SIDE, 8, 8).contiguous(memory_format=torch.channels_last)
    kernel = torch.rand(SIDE, SIDE, 1, 1).contiguous(memory_format=torch.channels_last)
    return _best_rate(lambda array: torch.conv2d(array, kernel), pixels, threads)


def _best_rate(product: Callable[[Tensor], Tensor], array: Tensor, threads: int) -> float:
    torch.set_num_threads(threads)
    best = min(min(seconds_per_call(product, array)) for _ in range(TURNS))
    return 2 * SIDE**3 / best / 1e9
