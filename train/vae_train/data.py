"""Where images come from: MNIST by name, IDX files in MNIST's layout, a folder of pictures, a numpy file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vae_runtime.errors import VAEError
from vae_runtime.idx import read_idx
from vae_runtime.images import pictures_in
from vae_train import mnist
from vae_train.collections import FIT, Collection, read_array, read_folder

PARTS = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


MOST_TEST = 10_000


@dataclass(frozen=True)
class Split:
    """images (N, C, H, W) uint8 and labels (N,), positions in the data set's `label_names`."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def first(self, n: int) -> Split:
        return Split(self.images[:n], self.labels[:n])


@dataclass(frozen=True)
class Dataset:
    """A training and a test split of one image shape; without labels `label_names` is empty."""

    train: Split
    test: Split
    label_names: tuple[str, ...] = ()
    fit: str = "contain"  # how pictures were brought to the shape, see vae_runtime.images

    @property
    def image_shape(self) -> tuple[int, int, int]:
        _, channels, height, width = self.train.images.shape
        return channels, height, width

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the training and test images and labels: what `--resume` compares."""
        digest = hashlib.sha256()
        for split in (self.train, self.test):
            digest.update(np.ascontiguousarray(split.images).data)
            digest.update(np.ascontiguousarray(split.labels).data)
        return digest.hexdigest()


def load_dataset(
    source: str, limit: int | None = None, *, size: tuple[int, int] | None = None, channels: int | None = None
) -> Dataset:
    """Read 'mnist' (fetched once into the user's cache), a folder of IDX files, gzipped or not, a folder of pictures
    whose sub-folders are labels, or a .npy or .npz file.

    `limit` keeps the first images of both splits; `size` (height, width) and `channels`, by default what the pictures
    are, is what pictures are brought to. Pictures and numpy files have no test split: a tenth, at most 10,000, is held
    out. Raises VAEError naming the file that is missing or wrong.
    """
    path = mnist.fetch() if source == "mnist" else Path(source)
    if path.suffix in (".npy", ".npz"):
        data = _held_out(read_array(path))
    elif not path.is_dir():
        raise VAEError(f"{path}: no such folder; --data takes 'mnist', a folder, or a .npy or .npz file")
    elif not any(_exists(path, part) for part in PARTS) and (files := pictures_in(path)):
        data = _held_out(read_folder(path, files, size, channels))
    else:
        data = _read_idx_folder(path)
    if size and data.image_shape[1:] != size:
        found = f"{data.image_shape[1]}×{data.image_shape[2]}"
        raise VAEError(f"{path}: its images are {found}, not {size[0]}×{size[1]}; only pictures are scaled")
    return replace(data, train=data.train.first(limit), test=data.test.first(limit)) if limit else data


def without_test(data: Dataset, count: int) -> Dataset:
    """The training images apart from the last `count`, and those in the place of the test images."""
    if not 0 < count < len(data.train.images):
        raise VAEError(f"--validation {count}: there are {len(data.train.images)} training images")
    train, held = (
        Split(data.train.images[part], data.train.labels[part]) for part in (slice(-count), slice(-count, None))
    )
    return replace(data, train=train, test=held)


def _held_out(collection: Collection) -> Dataset:
    n = len(collection.images)
    kept = n - min(MOST_TEST, max(1, n // 10))
    if not kept:
        raise VAEError("one image is not enough to train on")
    train, test = (Split(collection.images[part], collection.labels[part]) for part in (slice(kept), slice(kept, None)))
    return Dataset(train, test, collection.names, FIT)


def _read_idx_folder(folder: Path) -> Dataset:
    arrays = [read_idx(_find(folder, part)) for part in PARTS]
    train, test = _split(folder, *arrays[:2]), _split(folder, *arrays[2:])
    if train.images.shape[1:] != test.images.shape[1:]:
        raise VAEError(f"{folder}: training and test images differ in size")
    names = tuple(str(label) for label in range(int(max(train.labels.max(), test.labels.max())) + 1))
    return Dataset(train, test, names)


def _exists(folder: Path, part: str) -> Path | None:
    return next((folder / name for name in (part, part + ".gz") if (folder / name).is_file()), None)


def _find(folder: Path, part: str) -> Path:
    if path := _exists(folder, part):
        return path
    raise VAEError(f"{folder}: {part} (or {part}.gz) is missing, and there are no pictures")


def _split(folder: Path, images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> Split:
    if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels) or not len(images):
        raise VAEError(
            f"{folder}: images {images.shape} and labels {labels.shape} don't belong together; "
            "expected (N, H, W) and (N,)"
        )
    return Split(images[:, None], labels.astype(np.int64))
