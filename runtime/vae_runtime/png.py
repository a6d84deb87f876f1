"""Sheets of tiles, and PNG files, with numpy and zlib alone: a grid of digits needs no Pillow."""

from __future__ import annotations

import math
import os
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from vae_runtime.files import atomic_file

Pixels = NDArray[np.uint8]  # (H, W), grey, or (H, W, 3), RGB

# Level 1 costs a third of the default's time; a sheet of digits is a fifth larger.
COMPRESSION = 1


def to_uint8(images: NDArray[np.floating]) -> NDArray[np.uint8]:
    """float in [0, 1] -> rounded to 0 … 255."""
    return np.asarray(np.rint(np.clip(images, 0, 1) * 255), np.uint8)


def sheet(images: NDArray[np.floating], columns: int | None = None, *, scale: int = 1, gap: int = 0) -> Pixels:
    """Tiles in rows on black, (N, C, H, W) in [0, 1]; `columns` None makes it as square as it gets.

    Each pixel becomes scale×scale, `gap` pixels lie between tiles. Raises ValueError without images, or for other
    channels than 1 and 3.
    """
    n, channels, height, width = images.shape
    if not n:
        raise ValueError("there are no images to show")
    if channels not in (1, 3):
        raise ValueError(f"an image of {channels} channels cannot be shown; 1 and 3 can")
    columns = min(n, columns or math.ceil(math.sqrt(n)))
    rows = math.ceil(n / columns)
    canvas = np.zeros((channels, rows * (height + gap) - gap, columns * (width + gap) - gap), np.uint8)
    for i, image in enumerate(images):
        y, x = i // columns * (height + gap), i % columns * (width + gap)
        canvas[:, y : y + height, x : x + width] = to_uint8(image)
    canvas = canvas if scale == 1 else canvas.repeat(scale, 1).repeat(scale, 2)
    return canvas[0] if channels == 1 else np.ascontiguousarray(canvas.transpose(1, 2, 0))


def save_png(pixels: Pixels, target: str | os.PathLike[str] | BinaryIO) -> None:
    """Write a PNG, whole or not at all; the same pixels give the same bytes."""
    if isinstance(target, str | os.PathLike):
        with atomic_file(target) as temporary, Path(temporary).open("wb") as file:
            write_png(pixels, file)
    else:
        write_png(pixels, target)


def write_png(pixels: Pixels, file: BinaryIO) -> None:
    """Write a PNG to an open file: grey or RGB, 8 bits. Written here because Pillow's plugins take 10 ms to load."""
    height, width = pixels.shape[:2]
    lines = np.insert(pixels.reshape(height, -1), 0, 0, axis=1)  # each row begins with its filter, 0: none
    header = struct.pack(">IIBBBBB", width, height, 8, 0 if pixels.ndim == 2 else 2, 0, 0, 0)
    file.write(b"\x89PNG\r\n\x1a\n")
    for kind, content in ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), COMPRESSION)), (b"IEND", b"")):
        file.write(struct.pack(">I", len(content)) + kind + content)
        file.write(struct.pack(">I", zlib.crc32(kind + content)))
