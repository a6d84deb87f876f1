"""Changes to training images that keep their meaning."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def shifted(images: Tensor, offsets: Tensor) -> Tensor:
    """Each image (n, C, H, W) moved by its offset (n, 2), rows and columns; black moves in."""
    if not len(images):
        return images
    reach = int(offsets.abs().max())
    padded = functional.pad(images, (reach, reach, reach, reach))
    height, width = images.shape[2:]
    moved = []
    for image, (dy, dx) in zip(padded, offsets.tolist(), strict=True):
        top = reach + dy
        left = reach + dx
        moved.append(image[:, top : top + height, left : left + width])
    return torch.stack(moved)
