"""Pictures as files: PNG by our own writer, JPEG, WebP and GIF by Pillow."""

from __future__ import annotations

import os
from pathlib import Path

from vae_runtime.errors import VAEError
from vae_runtime.formats.files import atomic_file
from vae_runtime.formats.png import save_png
from vae_runtime.formats.sheets import Pixels, require_pixels

PILLOW_FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".gif": "GIF"}
PICTURE_SUFFIXES = (".png", *PILLOW_FORMATS)
# Of JPEG and WebP, out of 100.
QUALITY = 92


def save_picture(pixels: Pixels, path: str | os.PathLike[str]) -> None:
    """Write a picture, whole or not at all, in the format of the file's suffix.

    Raises VAEError for another suffix than PICTURE_SUFFIXES, or a file that cannot be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix == ".png":
        save_png(pixels, path)
        return
    if suffix not in PILLOW_FORMATS:
        raise VAEError(f"{path}: a picture ends in {', '.join(PICTURE_SUFFIXES)}")
    require_pixels(pixels)
    # PNG is written without Pillow, which takes 10 ms to load.
    from PIL import Image

    picture = Image.fromarray(pixels)
    with atomic_file(path) as temporary:
        picture.save(temporary, PILLOW_FORMATS[suffix], quality=QUALITY)
