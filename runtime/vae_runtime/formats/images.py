"""Images from files and folders: image files, IDX, .npy and .npz."""

from __future__ import annotations

import io
import logging
import math
import os
import struct
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from vae_runtime.arrays import Float32, ImageShape, check_images
from vae_runtime.bundle import Preprocess
from vae_runtime.door import MAX_IMAGE_BYTES, MAX_PIXELS, is_folder, open_file
from vae_runtime.errors import VAEError
from vae_runtime.formats.idx import GZIP_MAGIC, looks_like_idx, read_idx
from vae_runtime.formats.npy import load_numpy
from vae_runtime.formats.preprocess import Size, prepare, upright_size

IMAGE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm", ".pbm"}
)
ArrayKind = Literal["numpy", "idx"]
NUMPY_SUFFIXES = frozenset({".npy", ".npz"})
# What Pillow and its plugins raise for damaged files.
DAMAGED_IMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    zlib.error,
    # Beyond twice Pillow's own limit, before ours is asked.
    Image.DecompressionBombError,
    # Sizes in damaged headers; tags of another kind than their names.
    OverflowError,
    TypeError,
    LookupError,
)
# What Pillow logs about a damaged TIFF file belongs to a program's log. Where none is set up, it
# would reach the screen.
logging.getLogger("PIL").addHandler(logging.NullHandler())
# What Image.open may try, the frequent ones first: of the others some start programs, such as
# Ghostscript. A phone's MPO is found as a JPEG.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "TIFF", "WEBP")
DRAFT_FORMATS = ("JPEG", "MPO")
DRAFT_FACTORS = (2, 4, 8)
# Pictures of the whole size that WebP's decoder keeps at once.
WEBP_PICTURES = 4
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
    max_pixels: int = MAX_PIXELS,
) -> Iterator[NamedImage]:
    """Every image of files and folders, brought to `shape` (C, H, W).

    Takes image files, IDX, .npy and .npz; a folder gives its image files, sorted, sub-folders
    included. `on_damaged` is called for each damaged file of a folder, which is then left out.
    Of larger pictures than `max_pixels` only JPEG, which can be decoded smaller, is read. Raises
    VAEError naming the file that is missing, empty or none of these.
    """
    for path in map(Path, paths):
        if is_folder(path):
            yield from _read_folder(path, shape, preprocess, on_damaged, max_pixels)
            continue
        kind = array_kind(path)
        if kind is None:
            image = read_image_file(path, shape, preprocess, max_pixels)
            yield NamedImage(_printable(path), image)
            continue
        row = math.prod(shape)
        stored = load_numpy(path, "images", row=row) if kind == "numpy" else read_idx(path)
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


def read_image_file(
    path: Path, shape: ImageShape, preprocess: Preprocess, max_pixels: int = MAX_PIXELS
) -> Float32:
    """One image file as (C, H, W) float32 in [0, 1].

    Raises VAEError naming it when it is missing, too large or no image.
    """
    with open_file(path, MAX_IMAGE_BYTES) as file:
        return _read(file, str(path), shape, preprocess, max_pixels)


def read_image_bytes(
    content: bytes, shape: ImageShape, preprocess: Preprocess, max_pixels: int = MAX_PIXELS
) -> Float32:
    """The content of one image file as (C, H, W) float32 in [0, 1].

    Raises VAEError when it is too large or no image.
    """
    return _read(io.BytesIO(content), "the image", shape, preprocess, max_pixels)


def own_sizes(
    path: Path, max_pixels: int = MAX_PIXELS, *, strict: bool = False
) -> Iterator[tuple[Path, Size]]:
    """Each image file of a path, a file or folder, with its height and width; an array once.

    A JPEG of more than `max_pixels` has the size that it is decoded in. Damaged files of a folder
    are left out unless `strict`. Raises VAEError for what holds no images.
    """
    if is_folder(path):
        yield from _sizes_in(path, max_pixels, strict)
        return
    kind = array_kind(path)
    if kind is None:
        yield path, _picture_size(path, max_pixels)
        return
    shape = load_numpy(path, "images").shape if kind == "numpy" else read_idx(path).shape
    if len(shape) < 2:
        raise VAEError(f"{path}: an array {shape} has no height and width")
    yield path, (shape[-2], shape[-1])


def _sizes_in(folder: Path, max_pixels: int, strict: bool) -> Iterator[tuple[Path, Size]]:
    files = _require_files(folder)
    damaged: list[VAEError] = []
    for file in files:
        try:
            size = _picture_size(file, max_pixels)
        except VAEError as error:
            if strict:
                raise
            damaged.append(error)
            continue
        yield file, size
    if len(damaged) == len(files):
        raise damaged[-1]


def _picture_size(path: Path, max_pixels: int) -> Size:
    try:
        with open_file(path, MAX_IMAGE_BYTES) as file, _bounded(file, max_pixels) as picture:
            return upright_size(picture)
    except DAMAGED_IMAGE as error:
        raise VAEError(f"{path}: {_reason(error)}") from None


@contextmanager
def opened_picture(file: BinaryIO, max_pixels: int = MAX_PIXELS) -> Iterator[Image.Image]:
    """A picture of at most `max_pixels`, a larger JPEG made smaller while it is decoded.

    Raises ValueError for a larger one, and one of DAMAGED_IMAGE.
    """
    with _bounded(file, max_pixels) as picture:
        picture.load()
        yield picture


@contextmanager
def _bounded(file: BinaryIO, max_pixels: int) -> Iterator[Image.Image]:
    """The same before its pixels are decoded."""
    with warnings.catch_warnings():
        # Pillow's own limit is one of memory, and a line on the screen; ours is an error.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        picture = Image.open(file, formats=FORMATS)
    with picture:
        width, height = picture.size
        allowed = max_pixels // WEBP_PICTURES if picture.format == "WEBP" else max_pixels
        if width * height > allowed:
            _draft(picture, allowed)
        yield picture


def _draft(picture: Image.Image, max_pixels: int) -> None:
    """Have a JPEG decoded at a half, quarter or eighth of its size; others are a ValueError."""
    width, height = picture.size
    is_progressive = bool(picture.info.get("progressive"))
    if picture.format in DRAFT_FORMATS and not is_progressive:
        for factor in DRAFT_FACTORS:
            if width * height <= max_pixels * factor**2:
                picture.draft(None, (width // factor, height // factor))
                break
    if picture.size[0] * picture.size[1] > max_pixels:
        raise ValueError(
            f"a picture of {width}×{height} has more than {max_pixels} pixels; scale it down, or "
            "raise the limit with --max-pixels (max_pixels= in Python)"
        )


def _read(
    file: BinaryIO, name: str, shape: ImageShape, preprocess: Preprocess, max_pixels: int
) -> Float32:
    try:
        with opened_picture(file, max_pixels) as picture:
            return prepare(picture, shape, preprocess)
    except DAMAGED_IMAGE as error:
        raise VAEError(f"{name}: {_reason(error)}") from None


def _reason(error: BaseException) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not an image"
    if isinstance(error, Image.DecompressionBombError):
        return f"more pixels than anybody needs: {error}"
    if isinstance(error, ValueError):
        return str(error)
    return f"a damaged image: {error}"


def _require_files(folder: Path) -> list[Path]:
    """The image files of a folder. Raises VAEError where there are none."""
    files = image_files_in(folder)
    if not files:
        raise VAEError(f"{folder}: no images in this folder")
    return files


def _read_folder(
    folder: Path,
    shape: ImageShape,
    preprocess: Preprocess,
    on_damaged: Callable[[VAEError], None] | None,
    max_pixels: int,
) -> Iterator[NamedImage]:
    for file in _require_files(folder):
        try:
            image = read_image_file(file, shape, preprocess, max_pixels)
        except VAEError as error:
            if on_damaged is None:
                raise
            on_damaged(error)
            continue
        yield NamedImage(_printable(file), image)


def array_kind(path: Path) -> ArrayKind | None:
    """What kind of array file it is, by suffix and first bytes; None for anything else."""
    if path.suffix.lower() in NUMPY_SUFFIXES:
        return "numpy"
    with open_file(path) as file:
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
