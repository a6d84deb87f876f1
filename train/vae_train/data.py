"""Where images come from: MNIST by name, or a folder with the four IDX files of MNIST's layout."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vae_runtime.errors import VAEError
from vae_runtime.idx import read_idx
from vae_train import mnist

PARTS = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


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


def load_dataset(source: str, limit: int | None = None) -> Dataset:
    """Read 'mnist' (fetched once into the user's cache) or a folder of IDX files, gzipped or not.

    `limit` keeps the first images of both splits. Raises VAEError naming the file that is missing or wrong.
    """
    folder = mnist.fetch() if source == "mnist" else Path(source)
    if not folder.is_dir():
        raise VAEError(f"{folder}: no such folder; --data takes 'mnist' or a folder with IDX files")
    arrays = [read_idx(_find(folder, part)) for part in PARTS]
    train, test = _split(folder, *arrays[:2]), _split(folder, *arrays[2:])
    if train.images.shape[1:] != test.images.shape[1:]:
        raise VAEError(f"{folder}: training and test images differ in size")
    names = tuple(str(label) for label in range(int(max(train.labels.max(), test.labels.max())) + 1))
    return Dataset(train.first(limit), test.first(limit), names) if limit else Dataset(train, test, names)


def _find(folder: Path, part: str) -> Path:
    for name in (part, part + ".gz"):
        if (folder / name).is_file():
            return folder / name
    raise VAEError(f"{folder}: {part} (or {part}.gz) is missing")


def _split(folder: Path, images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> Split:
    if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels) or not len(images):
        raise VAEError(
            f"{folder}: images {images.shape} and labels {labels.shape} don't belong together; "
            "expected (N, H, W) and (N,)"
        )
    return Split(images[:, None], labels.astype(np.int64))
