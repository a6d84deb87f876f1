"""A folder of image files as a data set: cropped to one shape, its sub-folders are labels."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
from tqdm import tqdm

from vae_runtime.arrays import Float32, ImageShape, to_uint8
from vae_runtime.bundle import Preprocess
from vae_runtime.door import MAX_IMAGE_BYTES, open_file
from vae_runtime.errors import VAEError
from vae_runtime.formats.images import DAMAGED_IMAGE, opened_picture, read_image_file
from vae_train.image_cache import FIT, Collection, Index, cached, shuffled_order

SIDES = range(16, 129)
# Image files looked at to find out whether a folder is gray or in color, reduced to this side.
PROBE_COUNT = 64
PROBE_SIDE = 32
# Gray pixels stored as RGB differ in their channels by as much, of 255, after compression.
MAX_GRAY_DIFFERENCE = 8
# The share of image files that may be damaged.
MAX_DAMAGED_SHARE = 0.01

Size = tuple[int, int]
"""Height and width."""


def read_folder(folder: Path, files: Sequence[Path], shape: ImageShape) -> Collection:
    """The image files `files` in a folder, at least one, cropped to `shape` (C, H, W).

    The sub-folders' names are labels. Damaged files are named on stderr and left out. Raises
    VAEError when more than one in a hundred is damaged.
    """
    return cached(folder, files, shape, partial(_convert, folder, files, shape))


def shared_shape(
    folder: Path, files: Sequence[Path], size: Size | None, channels: int | None
) -> ImageShape:
    """`size`, else the size that the probed image files share; gray if all of them are.

    Raises VAEError when their sizes differ and `size` is None.
    """
    sizes, is_colored = _probe(files)
    if not sizes:
        raise VAEError(f"{folder}: its images are damaged, beginning with {files[0]}")
    if size is None:
        if len(sizes) != 1:
            raise VAEError(
                f"{folder}: its images differ in size; say which to train on with --image-size"
            )
        (size,) = sizes
    height, width = size
    if width not in SIDES or height not in SIDES:
        raise VAEError(
            f"{folder}: images of {width}×{height}; scale them to 16 … 128 pixels with --image-size"
        )
    if channels is None:
        channels = 3 if is_colored else 1
    return channels, height, width


def _probe(files: Sequence[Path]) -> tuple[set[Size], bool]:
    """The sizes of some of the image files, and whether one of them is in color."""
    sizes = set()
    is_colored = False
    stride = max(1, len(files) // PROBE_COUNT)
    for path in files[::stride]:
        try:
            with open_file(path, MAX_IMAGE_BYTES) as file, opened_picture(file) as image_file:
                sizes.add((image_file.height, image_file.width))
                small = image_file.convert("RGB").resize((PROBE_SIDE, PROBE_SIDE))
        except (VAEError, *DAMAGED_IMAGE):
            continue
        differences = np.ptp(np.asarray(small, np.int16), axis=2)
        if differences.max() > MAX_GRAY_DIFFERENCE:
            is_colored = True
    return sizes, is_colored


def _convert(folder: Path, files: Sequence[Path], shape: ImageShape, file: BinaryIO) -> Index:
    names = sorted({_label(folder, path) for path in files})
    position = {name: i for i, name in enumerate(names)}
    labels: list[int] = []
    damaged: list[str] = []
    for path, image in _readable_images(files, shape, damaged):
        file.write(to_uint8(image).tobytes())
        labels.append(position[_label(folder, path)])
    if len(damaged) > MAX_DAMAGED_SHARE * len(files):
        raise VAEError(
            f"{folder}: {len(damaged)} of {len(files)} images are damaged, "
            f"beginning with {damaged[0]}"
        )
    _report_skipped(damaged, len(files))
    return Index(names, labels)


def _readable_images(
    files: Sequence[Path], shape: ImageShape, damaged: list[str]
) -> Iterator[tuple[Path, Float32]]:
    """Image files and their images (C, H, W), shuffled.

    What is wrong with the others is added to `damaged`.
    """
    order = shuffled_order(len(files))
    preprocess = Preprocess(FIT)
    for i in tqdm(order, desc="reading images", disable=not sys.stderr.isatty(), leave=False):
        try:
            image = read_image_file(files[i], shape, preprocess)
        except VAEError as error:
            damaged.append(str(error))
            continue
        yield files[i], image


def _report_skipped(damaged: Sequence[str], total: int) -> None:
    """Name on stderr what is left out of the data set."""
    if not damaged:
        return
    for reason in damaged:
        print(f"skipped {reason}", file=sys.stderr)
    print(f"skipped {len(damaged)} damaged images of {total}", file=sys.stderr)


def _label(folder: Path, path: Path) -> str:
    """The name of the first folder below `folder`; empty for an image file in `folder` itself."""
    inner = path.relative_to(folder)
    return inner.parts[0] if len(inner.parts) > 1 else ""
