"""Images from anywhere to what an encoder takes: the one preprocessing, used by training too.

EXIF rotation applied, transparency over black, 16-bit scaled to [0, 1], converted to the model's channels, then
fitted to the model's size.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from vae_runtime.arrays import Array, Shape, load_numpy
from vae_runtime.arrays import check_images as check_images
from vae_runtime.bundle import Preprocess
from vae_runtime.errors import VAEError
from vae_runtime.idx import read_idx

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm", ".pbm"})
CONVERTED = 1024
INK = 20  # MNIST scales a digit's ink box to 20 of its 28 pixels
DAMAGED = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError)


@dataclass(frozen=True)
class Named:
    """An image (C, H, W) float32 in [0, 1] and where it came from."""

    name: str
    image: Array


def read_images(paths: Iterable[str | Path], shape: Shape, preprocess: Preprocess) -> Iterator[Named]:
    """Every image of files and folders, brought to `shape` (C, H, W): pictures, IDX, .npy and .npz files.

    A folder gives its pictures, sorted, sub-folders included. Raises VAEError naming the file that is missing,
    empty or none of these.
    """
    for path in map(Path, paths):
        if path.is_dir():
            found = pictures_in(path)
            if not found:
                raise VAEError(f"{path}: no images in this folder")
            for file in found:
                yield Named(_printable(file), read_picture(file, shape, preprocess))
        elif kind := _array_kind(path):
            stored = load_numpy(path, "images") if kind == "numpy" else read_idx(path)
            for i, image in enumerate(_each(path, stored, shape)):
                yield Named(f"{_printable(path)}[{i}]", image)
        else:
            yield Named(_printable(path), read_picture(path, shape, preprocess))


def pictures_in(folder: Path) -> list[Path]:
    """The picture files in a folder and its sub-folders, sorted; hidden ones, such as macOS's `._a.png`, left out."""
    return sorted(
        p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and not p.name.startswith(".") and p.is_file()
    )


def read_picture(path: Path, shape: Shape, preprocess: Preprocess) -> Array:
    """One image file as (C, H, W) float32 in [0, 1]. Raises VAEError naming it when it is missing or no image."""
    if not path.is_file():
        raise VAEError(f"{path}: no such file")
    return _open_picture(path, str(path), shape, preprocess)


def read_picture_bytes(content: bytes, shape: Shape, preprocess: Preprocess) -> Array:
    """The content of one image file as (C, H, W) float32 in [0, 1]. Raises VAEError when it is no image."""
    return _open_picture(io.BytesIO(content), "the image", shape, preprocess)


def _open_picture(source: Path | io.BytesIO, name: str, shape: Shape, preprocess: Preprocess) -> Array:
    try:
        with Image.open(source) as picture:
            picture.load()
            return prepare(picture, shape, preprocess)
    except DAMAGED as error:
        if isinstance(error, UnidentifiedImageError):
            reason = "not an image"
        elif isinstance(error, ValueError | Image.DecompressionBombError):
            reason = str(error)
        else:
            reason = f"a damaged image: {error}"
        raise VAEError(f"{name}: {reason}") from None


def prepare(picture: Image.Image, shape: Shape, preprocess: Preprocess) -> Array:
    """A Pillow image of any size and mode as (C, H, W) float32 in [0, 1], by the rules at the top of this file."""
    # What is transparent becomes black, in the end.
    pixels = _pixels(ImageOps.exif_transpose(picture), shape[0], background=255 if preprocess.invert else 0)
    if preprocess.invert:
        pixels = 1 - pixels
    fit = {"contain": _contain, "stretch": _resize, "crop": _crop, "mnist": _mnist}[preprocess.fit]
    fitted: Array = np.clip(fit(pixels, shape[1:]), 0, 1)
    return fitted


def _pixels(picture: Image.Image, channels: int, background: int) -> Array:
    """(C, H, W) float32 in [0, 1], on a `background` of 0 … 255; raises ValueError for values that have no scale."""
    if picture.mode.startswith("I") or picture.mode == "F":
        values = np.asarray(picture, np.float32)
        if picture.mode != "F":
            values = values / np.float32(65535)
        if not (values.min() >= 0 and values.max() <= 1):
            raise ValueError("its values lie outside the range of 16-bit integers, or of [0, 1] for floats")
        return np.repeat(values[None], channels, 0)
    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        rgba = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", rgba.size, (background,) * 3 + (255,)), rgba)
    values = np.asarray(picture.convert("L" if channels == 1 else "RGB"), np.float32) / np.float32(255)
    return values[None] if values.ndim == 2 else np.ascontiguousarray(values.transpose(2, 0, 1))


def _resize(pixels: Array, size: tuple[int, int]) -> Array:
    if pixels.shape[1:] == size:
        return pixels
    planes = [Image.fromarray(plane).resize((size[1], size[0]), Image.Resampling.BICUBIC) for plane in pixels]
    return np.stack([np.asarray(plane, np.float32) for plane in planes])


def _contain(pixels: Array, size: tuple[int, int]) -> Array:
    scale = min(size[0] / pixels.shape[1], size[1] / pixels.shape[2])
    inner = _resize(pixels, _scaled(pixels, scale, size))
    return _place(inner, size, (size[0] - inner.shape[1]) // 2, (size[1] - inner.shape[2]) // 2)


def _crop(pixels: Array, size: tuple[int, int]) -> Array:
    _, height, width = pixels.shape
    scale = min(height / size[0], width / size[1])
    h, w = max(1, min(height, round(size[0] * scale))), max(1, min(width, round(size[1] * scale)))
    y, x = (height - h) // 2, (width - w) // 2
    return _resize(pixels[:, y : y + h, x : x + w], size)


def _mnist(pixels: Array, size: tuple[int, int]) -> Array:
    """As LeCun et al. made the data set: the ink box scaled to 20 of 28 pixels, centre of mass at pixel 14, 14."""
    ink = pixels.max(0) > 0.1
    if not ink.any():
        return np.zeros((pixels.shape[0], *size), np.float32)
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    box = pixels[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    target = (size[0] * INK / 28, size[1] * INK / 28)
    scale = min(target[0] / box.shape[1], target[1] / box.shape[2])
    inner = np.clip(_resize(box, _scaled(box, scale, size)), 0, 1)
    mass = inner.sum(0)
    total = float(mass.sum()) or 1.0
    y = round(size[0] / 2 - float(mass.sum(1) @ np.arange(mass.shape[0])) / total)
    x = round(size[1] / 2 - float(mass.sum(0) @ np.arange(mass.shape[1])) / total)
    y, x = (max(0, min(size[i] - inner.shape[i + 1], v)) for i, v in enumerate((y, x)))
    return _place(inner, size, y, x)


def _scaled(pixels: Array, scale: float, size: tuple[int, int]) -> tuple[int, int]:
    height, width = (max(1, min(size[i], round(pixels.shape[i + 1] * scale))) for i in (0, 1))
    return height, width


def _place(inner: Array, size: tuple[int, int], y: int, x: int) -> Array:
    canvas = np.zeros((inner.shape[0], *size), np.float32)
    canvas[:, y : y + inner.shape[1], x : x + inner.shape[2]] = inner
    return canvas


def _array_kind(path: Path) -> str:
    """ "numpy" or "idx", by suffix and first bytes; empty for what isn't a file of arrays."""
    if path.suffix.lower() in (".npy", ".npz"):
        return "numpy"
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        start = file.read(3)
    return "idx" if start[:2] == b"\x1f\x8b" or start == b"\0\0\x08" else ""


def _printable(path: Path) -> str:
    """A path as text; bytes that are no UTF-8 become question marks."""
    return os.fsencode(path).decode("utf-8", "replace")


def _each(path: Path, stored: NDArray[Any], shape: Shape) -> Iterator[Array]:
    """Checked and converted some at a time: as float32 the whole would need four times the memory."""
    if stored.ndim == 2:
        stored = stored[None]
    try:
        for start in range(0, len(stored) or 1, CONVERTED):
            yield from check_images(stored[start : start + CONVERTED], shape)
    except (ValueError, TypeError) as error:
        raise VAEError(f"{path}: {error}") from None
