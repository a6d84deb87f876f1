"""Sheets: many images as the tiles of one picture."""

from __future__ import annotations

import math
from typing import Any, NewType

import numpy as np
from numpy.typing import NDArray

from vae_runtime.arrays import UInt8, to_uint8

# How wide a sheet is shown.
SHOWN_PIXELS = 600

Pixels = NewType("Pixels", UInt8)
"""A picture: (H, W), gray, or (H, W, 3), RGB. Images become one by `sheet`."""


def sheet(
    images: NDArray[np.floating],
    columns: int | None = None,
    *,
    scale: int | None = 1,
    gap: int = 0,
) -> Pixels:
    """Tiles in rows on black, (N, C, H, W) in [0, 1], or a single image (C, H, W).

    `columns` None makes it as square as it gets. Each pixel becomes scale×scale, `scale` None makes
    the sheet some 600 pixels wide; `gap` pixels lie between tiles. Raises ValueError without
    images, or for other channels than 1 and 3.
    """
    if images.ndim == 3:
        images = images[None]
    n, channels, height, width = images.shape
    if not n:
        raise ValueError("there are no images to show")
    if channels not in (1, 3):
        raise ValueError(f"an image of {channels} channels cannot be shown; 1 and 3 can")
    columns = min(n, columns or math.ceil(math.sqrt(n)))
    rows = math.ceil(n / columns)
    if scale is None:
        scale = max(1, SHOWN_PIXELS // max(1, columns * width))
    canvas_height = rows * (height + gap) - gap
    canvas_width = columns * (width + gap) - gap
    canvas = np.zeros((channels, canvas_height, canvas_width), np.uint8)
    for i, image in enumerate(images):
        y = i // columns * (height + gap)
        x = i % columns * (width + gap)
        canvas[:, y : y + height, x : x + width] = to_uint8(image)
    if scale != 1:
        canvas = canvas.repeat(scale, 1).repeat(scale, 2)
    if channels == 1:
        return Pixels(canvas[0])
    return Pixels(np.ascontiguousarray(canvas.transpose(1, 2, 0)))


def require_pixels(pixels: Any) -> None:
    """Raise TypeError for what isn't a picture, such as an image (C, H, W) of floats."""
    array = np.asarray(pixels)
    is_gray = array.ndim == 2
    is_rgb = array.ndim == 3 and array.shape[2] == 3
    if array.dtype != np.uint8 or not (is_gray or is_rgb) or not array.size:
        raise TypeError(
            f"pixels must be uint8 (H, W) or (H, W, 3), not {array.dtype} {array.shape}; "
            "make them of images by sheet(images)"
        )
