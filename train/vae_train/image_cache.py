"""Data sets converted once, shuffled, to a file that is mapped into memory.

The mapped file holds uint8 (N, C, H, W); the system reads what a batch needs, so a data set may be
larger than memory.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from vae_runtime.arrays import ImageShape, Int64, UInt8
from vae_runtime.bundle import Fit
from vae_runtime.errors import VAEError
from vae_runtime.formats.files import atomic_folder, make_folder, sync
from vae_train.cache import cache_folder

# How images of another size are brought to the shape.
FIT: Fit = "crop"
IMAGES_FILE = "images.bin"
INDEX_FILE = "index.json"
KEY_LETTERS = 32
# Another one makes every data set be converted anew.
CACHE_VERSION = 2
# Seeds the order of the converted images.
ORDER_SEED = 0


@dataclass(frozen=True)
class Collection:
    """images (N, C, H, W), mapped, in a shuffled order; labels (N,), positions in `names`.

    Without labels `names` is empty.
    """

    images: UInt8
    labels: Int64
    names: tuple[str, ...]


@dataclass(frozen=True)
class Index:
    """What stands beside the converted images: the names of the labels, and each image's label."""

    names: Sequence[str]
    labels: Sequence[int]


Convert = Callable[[BinaryIO], Index]
"""Writes uint8 images (C, H, W), one after the other, to a file, and returns their index."""


def shuffled_order(n: int) -> Int64:
    """The order in which n images are converted, the same in every run."""
    return np.random.default_rng(ORDER_SEED).permutation(n)


def cached(folder: Path, files: Sequence[Path], shape: ImageShape, convert: Convert) -> Collection:
    """The converted images of `files` in `folder`; `convert` makes them where there are none yet.

    Raises VAEError when the cache cannot be written.
    """
    cache = cache_folder() / "images" / _key(folder, files, shape)
    if not (cache / INDEX_FILE).is_file():
        _fill(cache, convert)
    index = json.loads((cache / INDEX_FILE).read_text("utf-8"))
    labels = np.array(index["labels"], np.int64)
    images = np.memmap(cache / IMAGES_FILE, np.uint8, "r", shape=(len(labels), *shape))
    return Collection(images, labels, tuple(index["names"]))


def _fill(cache: Path, convert: Convert) -> None:
    make_folder(cache.parent)
    try:
        with atomic_folder(cache) as target:
            with (target / IMAGES_FILE).open("wb") as file:
                index = convert(file)
            values = {"names": list(index.names), "labels": list(index.labels)}
            (target / INDEX_FILE).write_text(json.dumps(values), "utf-8")
            sync(target / IMAGES_FILE)
    except VAEError:
        # Another run may just have converted the same images.
        if not (cache / INDEX_FILE).is_file():
            raise


def _key(folder: Path, files: Sequence[Path], shape: ImageShape) -> str:
    """What the converted file depends on: names, sizes and times of the files, and the shape."""
    digest = hashlib.sha256(repr((CACHE_VERSION, shape)).encode())
    for path in files:
        facts = path.stat()
        line = f"{path.relative_to(folder)}\0{facts.st_size}\0{facts.st_mtime_ns}\n"
        digest.update(line.encode())
    return digest.hexdigest()[:KEY_LETTERS]
