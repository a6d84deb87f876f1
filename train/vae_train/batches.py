"""An epoch's batches: shuffled by seed and epoch, gathered in the background during training."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from vae_runtime.arrays import UInt8
from vae_train.distributed import ProcessGroup

BATCHES_AHEAD = 2
# Larger than any number of epochs, so that two seeds share no epoch's order.
SEED_STRIDE = 1_000_003

Batch = tuple[int, Tensor]
"""The size of the whole batch, and this process's share of it, uint8 (n, C, H, W)."""


@dataclass(frozen=True)
class BatchDraws:
    """Random numbers for a batch of `count` images, of which this process has `share`.

    They are drawn for the whole batch, so that they are the same on any number of processes.
    """

    rng: torch.Generator
    count: int
    share: slice
    device: torch.device

    def normal(self, *shape: int) -> Tensor:
        """Standard normal, (n, *shape) for the n images of the share."""
        whole = torch.randn((self.count, *shape), generator=self.rng)
        return whole[self.share].to(self.device)

    def offsets(self, reach: int) -> Tensor:
        """Shifts of -reach to reach pixels along both axes, (n, 2) int64 on the CPU."""
        whole = torch.randint(-reach, reach + 1, (self.count, 2), generator=self.rng)
        return whole[self.share]


def epoch_order(n: int, seed: int, epoch: int) -> Tensor:
    """The order of n images in an epoch, (n,) int64; it depends on nothing else."""
    rng = torch.Generator().manual_seed(seed * SEED_STRIDE + epoch)
    return torch.randperm(n, generator=rng)


def batches(
    images: UInt8, order: Tensor, batch_size: int, first: int, processes: ProcessGroup, pin: bool
) -> Generator[Batch, None, None]:
    """Yield the batches of images (N, C, H, W) in `order`, from batch number `first` on.

    `images` may be mapped from disk; `pin` puts the share into page-locked memory, from which CUDA
    copies faster.
    """

    def gather(start: int) -> Batch:
        chosen = order[start : start + batch_size].numpy()
        count = len(chosen)
        part = torch.from_numpy(images[chosen[processes.share(count)]])
        if pin:
            part = part.pin_memory()
        return count, part

    pending: deque[Future[Batch]] = deque()
    with ThreadPoolExecutor(1, "batches") as reader:
        for start in range(first * batch_size, len(order), batch_size):
            pending.append(reader.submit(gather, start))
            if len(pending) == BATCHES_AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
