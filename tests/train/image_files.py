"""Folders of image files for tests."""

from pathlib import Path

import numpy as np
from PIL import Image


def fill(
    folder: Path, count: int, size: tuple[int, int] = (40, 30), color: bool = True, offset: int = 0
) -> None:
    """Write `count` JPEGs with random flat colors, numbered from `offset` on."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(offset)
    for i in range(offset, offset + count):
        red, green, blue = rng.integers(0, 256, 3).tolist()
        image = Image.new("RGB", size, (red, green, blue))
        if not color:
            image = image.convert("L")
        image.save(folder / f"{i:04d}.jpg")
