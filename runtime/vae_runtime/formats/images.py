"""Images from files and folders: image files, IDX, .npy and .npz."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from vae_runtime.arrays import Float32, ImageShape, check_images
from vae_runtime.bundle import Preprocess
from vae_runtime.errors import VAEError
from vae_runtime.formats.idx import GZIP_MAGIC, looks_like_idx, read_idx
from vae_runtime.formats.npy import load_numpy
from vae_runtime.formats.preprocess import prepare

IMAGE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm", ".pbm"}
)
NUMPY_SUFFIXES = frozenset({".npy", ".npz"})
# What Pillow and its plugins raise for damaged files.
DAMAGED_IMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
# Images of an array that are checked and converted at once: float32 needs four times the memory.
CONVERSION_CHUNK = 1024


@dataclass(frozen=True)
class NamedImage:
    """An image (C, H, W) float32 in [0, 1] and where it came from."""

    name: str
    image: Float32


def read_images(
    paths: Iterable[str | Path],
    shape: ImageShape,
    preprocess: Preprocess,
    *,
    on_damaged: Callable[[VAEError], None] | None = None,
) -> Iterator[NamedImage]:
    """Every image of files and folders, brought to `shape` (C, H, W).

    Takes image files, IDX, .npy and .npz; a folder gives its image files, sorted, sub-folders
    included. `on_damaged` is called for each damaged file of a folder, which is then left out.
    Raises VAEError naming the file that is missing, empty or none of these.
    """
    for path in map(Path, paths):
        if path.is_dir():
            yield from _read_folder(path, shape, preprocess, on_damaged)
            continue
        kind = _array_kind(path)
        if kind is None:
            yield NamedImage(_printable(path), read_image_file(path, shape, preprocess))
            continue
        stored = load_numpy(path, "images") if kind == "numpy" else read_idx(path)
        for i, image in enumerate(_each(path, stored, shape)):
            yield NamedImage(f"{_printable(path)}[{i}]", image)


def image_files_in(folder: Path) -> list[Path]:
    """The image files in a folder and its sub-folders, sorted.

    Hidden ones, such as macOS's `._a.png`, are left out.
    """
    found = []
    for path in folder.rglob("*"):
        is_hidden = path.name.startswith(".")
        if path.suffix.lower() in IMAGE_SUFFIXES and not is_hidden and path.is_file():
            found.append(path)
    return sorted(found)


def read_image_file(path: Path, shape: ImageShape, preprocess: Preprocess) -> Float32:
    """One image file as (C, H, W) float32 in [0, 1].

    Raises VAEError naming it when it is missing or no image.
    """
    if not path.is_file():
        raise VAEError(f"{path}: no such file")
    return _read(path, str(path), shape, preprocess)


def read_image_bytes(content: bytes, shape: ImageShape, preprocess: Preprocess) -> Float32:
    """The content of one image file as (C, H, W) float32 in [0, 1].

    Raises VAEError when it is no image.
    """
    return _read(io.BytesIO(content), "the image", shape, preprocess)


def _read(
    source: Path | io.BytesIO, name: str, shape: ImageShape, preprocess: Preprocess
) -> Float32:
    try:
        with Image.open(source) as picture:
            picture.load()
            return prepare(picture, shape, preprocess)
    except DAMAGED_IMAGE as error:
        raise VAEError(f"{name}: {_reason(error)}") from None


def _reason(error: BaseException) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not an image"
    if isinstance(error, ValueError | Image.DecompressionBombError):
        return str(error)
    return f"a damaged image: {error}"


def _read_folder(
    folder: Path,
    shape: ImageShape,
    preprocess: Preprocess,
    on_damaged: Callable[[VAEError], None] | None,
) -> Iterator[NamedImage]:
    files = image_files_in(folder)
    if not files:
        raise VAEError(f"{folder}: no images in this folder")
    for file in files:
        try:
            image = read_image_file(file, shape, preprocess)
        except VAEError as error:
            if on_damaged is None:
                raise
            on_damaged(error)
            continue
        yield NamedImage(_printable(file), image)


def _array_kind(path: Path) -> Literal["numpy", "idx"] | None:
    """What kind of array file it is, by suffix and first bytes; None for anything else."""
    if path.suffix.lower() in NUMPY_SUFFIXES:
        return "numpy"
    if not path.is_file():
        return None
    with path.open("rb") as file:
        start = file.read(3)
    if start.startswith(GZIP_MAGIC) or looks_like_idx(start):
        return "idx"
    return None


def _printable(path: Path) -> str:
    """A path as text; bytes that are no UTF-8 become question marks."""
    return os.fsencode(path).decode("utf-8", "replace")


def _each(path: Path, stored: NDArray[Any], shape: ImageShape) -> Iterator[Float32]:
    """Every image of an array, checked."""
    if stored.ndim == 2:
        stored = stored[None]
    try:
        # An empty array is checked too, for its shape.
        for start in range(0, max(1, len(stored)), CONVERSION_CHUNK):
            yield from check_images(stored[start : start + CONVERSION_CHUNK], shape)
    except (ValueError, TypeError) as error:
        raise VAEError(f"{path}: {error}") from None
