"""Image folders and numpy files as data sets: converted once, shuffled, to a file that is mapped into memory.

The mapped file holds uint8 (N, C, H, W); the system reads what a batch needs, so a data set may be larger than memory.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from vae_runtime.arrays import load_numpy
from vae_runtime.bundle import Preprocess
from vae_runtime.errors import VAEError
from vae_runtime.files import atomic_directory, sync
from vae_runtime.images import DAMAGED, check_images, read_picture
from vae_train.mnist import cache_directory

Shape = tuple[int, int, int]
FIT = "crop"
SIZES = range(16, 129)
PROBED = 64  # pictures looked at to find out whether a folder is grey or in colour
IMAGES, INDEX = "images.bin", "index.json"
AT_ONCE = 1024
MOST_BAD = 0.01  # the share of pictures that may be damaged


@dataclass(frozen=True)
class Collection:
    """images (N, C, H, W) uint8, mapped, in a shuffled order; labels (N,), positions in `names`."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    names: tuple[str, ...]


def read_folder(
    folder: Path, files: Sequence[Path], size: tuple[int, int] | None, channels: int | None = None
) -> Collection:
    """The pictures `files`, at least one, in a folder, cropped to `size` (height, width); its sub-folders are labels.

    Damaged pictures are named on stderr and left out. Raises VAEError when their sizes differ and `size` is None, or
    when more than one picture in a hundred is damaged.
    """
    shape = _shape(folder, files, size, channels)
    return _mapped(folder, files, shape, lambda target: _convert_pictures(folder, files, shape, target))


def read_array(path: Path) -> Collection:
    """Images in a .npy or .npz, (N, C, H, W) or (N, H, W), uint8 or float in [0, 1]; `labels` (N,) in the .npz.

    Raises VAEError for anything else.
    """
    stored = load_numpy(path, "images", mapped=True)
    shape = stored.shape[1:] if stored.ndim == 4 else (1, *stored.shape[1:])
    if len(shape) != 3 or shape[0] not in (1, 3) or not len(stored):
        raise VAEError(f"{path}: images of shape {stored.shape}; expected (N, H, W), (N, 1, H, W) or (N, 3, H, W)")
    return _mapped(path.parent, [path], shape, lambda target: _convert_array(path, stored, shape, target))


def _mapped(folder: Path, files: Sequence[Path], shape: Shape, convert: Callable[[Path], None]) -> Collection:
    """The converted file of `files`, mapped into memory; `convert` fills its folder where there is none yet."""
    cache = cache_directory() / "images" / _key(folder, files, shape)
    if not (cache / INDEX).is_file():
        try:
            cache.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise VAEError(f"{cache.parent}: cannot be created: {error.strerror}") from None
        try:
            with atomic_directory(cache) as target:
                convert(target)
                sync(target / IMAGES)
        except VAEError:
            if not (cache / INDEX).is_file():  # unless another run has just converted the same
                raise
    index = json.loads((cache / INDEX).read_text("utf-8"))
    images = np.memmap(cache / IMAGES, np.uint8, "r", shape=(len(index["labels"]), *shape))
    return Collection(images, np.array(index["labels"], np.int64), tuple(index["names"]))


def _write_index(target: Path, names: Sequence[str], labels: Sequence[int]) -> None:
    (target / INDEX).write_text(json.dumps({"names": list(names), "labels": list(labels)}), "utf-8")


def _convert_array(path: Path, stored: NDArray[Any], shape: Shape, target: Path) -> None:
    order = np.random.default_rng(0).permutation(len(stored))
    names, labels = _labels_beside(path, len(stored))
    try:
        with (target / IMAGES).open("wb") as file:
            for start in range(0, len(order), AT_ONCE):
                part = check_images(stored[order[start : start + AT_ONCE]], shape)
                file.write(np.rint(part * 255).astype(np.uint8).tobytes())
    except (ValueError, TypeError) as error:
        raise VAEError(f"{path}: {error}") from None
    _write_index(target, names, labels[order].tolist())


def _labels_beside(path: Path, n: int) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            if "labels" in arrays.files:
                found = arrays["labels"]
                if found.shape != (n,):
                    raise VAEError(f"{path}: labels {found.shape} for {n} images")
                names, labels = np.unique(found, return_inverse=True)
                return tuple(map(str, names)), labels.astype(np.int64)
    return (), np.zeros(n, np.int64)


def _shape(folder: Path, files: Sequence[Path], size: tuple[int, int] | None, channels: int | None) -> Shape:
    """From --image-size, else the size that the probed pictures share; grey if all of them are."""
    sizes, colourful = set(), False
    for path in files[:: max(1, len(files) // PROBED)]:
        try:
            with Image.open(path) as picture:
                sizes.add(picture.size)
                pixels = np.asarray(picture.convert("RGB").resize((32, 32)), np.int16)
        except DAMAGED:
            continue
        colourful |= bool(np.ptp(pixels, axis=2).max() > 8)
    if not sizes:
        raise VAEError(f"{folder}: its images are damaged, beginning with {files[0]}")
    if size is None:
        if len(sizes) != 1:
            raise VAEError(f"{folder}: its images differ in size; say which to train on with --image-size")
        ((width, height),) = sizes
    else:
        height, width = size
    if width not in SIZES or height not in SIZES:
        raise VAEError(f"{folder}: images of {width}×{height}; scale them to 16 … 128 pixels with --image-size")
    return channels or (3 if colourful else 1), height, width


def _key(folder: Path, files: Sequence[Path], shape: Shape) -> str:
    """What the converted file depends on: names, sizes and times of the pictures, and the shape."""
    digest = hashlib.sha256(repr(shape).encode())
    for path in files:
        facts = path.stat()
        digest.update(f"{path.relative_to(folder)}\0{facts.st_size}\0{facts.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:32]


def _convert_pictures(folder: Path, files: Sequence[Path], shape: Shape, target: Path) -> None:
    names = sorted({_label(folder, path) for path in files})
    number = {name: i for i, name in enumerate(names)}
    labels: list[int] = []
    bad: list[str] = []
    with (target / IMAGES).open("wb") as file:
        for path, image in _prepared(files, shape, bad):
            file.write(np.rint(image * 255).astype(np.uint8).tobytes())
            labels.append(number[_label(folder, path)])
    if len(bad) > MOST_BAD * len(files):
        raise VAEError(f"{folder}: {len(bad)} of {len(files)} images are damaged, beginning with {bad[0]}")
    _write_index(target, names if len(names) > 1 else [], labels)
    for reason in bad:
        print(f"skipped {reason}", file=sys.stderr)
    if bad:
        print(f"skipped {len(bad)} damaged images of {len(files)}", file=sys.stderr)


def _prepared(files: Sequence[Path], shape: Shape, bad: list[str]) -> Iterator[tuple[Path, NDArray[np.float32]]]:
    order = np.random.default_rng(0).permutation(len(files))
    for i in tqdm(order, desc="reading images", disable=not sys.stderr.isatty(), leave=False):
        try:
            yield files[i], read_picture(files[i], shape, Preprocess(FIT))
        except VAEError as error:
            bad.append(str(error))


def _label(folder: Path, path: Path) -> str:
    """The name of the first folder below `folder`; empty for a picture that lies in `folder` itself."""
    inner = path.relative_to(folder)
    return inner.parts[0] if len(inner.parts) > 1 else ""
