"""An epoch's batches: shuffled by seed and epoch, gathered in the background while the one before is trained on."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vae_train.distributed import World

AHEAD = 2


def epoch_order(n: int, seed: int, epoch: int) -> Tensor:
    """The order of n images in an epoch; it depends on nothing else."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed * 1_000_003 + epoch))


def batches(
    images: NDArray[np.uint8], order: Tensor, batch_size: int, first: int, world: World, pin: bool
) -> Generator[tuple[int, Tensor], None, None]:
    """From batch `first` on: the batch's size, and this process's share of it, uint8 (n, C, H, W).

    `images` may be mapped from disk; `pin` puts the share into page-locked memory, from which CUDA copies faster.
    """

    def gather(start: int) -> tuple[int, Tensor]:
        chosen = order[start : start + batch_size].numpy()
        part = torch.from_numpy(images[chosen[world.share(len(chosen))]])
        return len(chosen), part.pin_memory() if pin else part

    starts = iter(range(first * batch_size, len(order), batch_size))
    with ThreadPoolExecutor(1, "batches") as reader:
        coming = [reader.submit(gather, start) for start in islice(starts, AHEAD)]
        while coming:
            yield coming.pop(0).result()
            if (start := next(starts, None)) is not None:
                coming.append(reader.submit(gather, start))


def shifted(images: Tensor, offsets: Tensor) -> Tensor:
    """Each image (n, C, H, W) moved by its offset (n, 2), rows and columns; black moves in."""
    reach = int(offsets.abs().max()) if len(offsets) else 0
    padded = torch.nn.functional.pad(images, (reach,) * 4)
    height, width = images.shape[2:]
    moved = [
        image[:, reach + dy : reach + dy + height, reach + dx : reach + dx + width]
        for image, (dy, dx) in zip(padded, offsets.tolist(), strict=True)
    ]
    return torch.stack(moved) if moved else images
