"""Where images come from: MNIST by name, IDX files in MNIST's layout, image files, a numpy file."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from vae_runtime.arrays import ImageShape, Int64, UInt8
from vae_runtime.bundle import Fit
from vae_runtime.errors import VAEError
from vae_runtime.formats.idx import read_idx
from vae_runtime.formats.images import image_files_in
from vae_train import mnist
from vae_train.folder_splits import files_below, find_splits
from vae_train.image_array import read_array
from vae_train.image_cache import FIT, Collection
from vae_train.image_folder import read_folder, shared_shape

# The files of a folder in MNIST's layout, each gzipped or not.
IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
# A tenth of a data set without a test split is held out, at most this many images.
TEST_FRACTION = 10
MAX_TEST_IMAGES = 10_000
# Of both splits together.
MIN_IMAGES = 10


@dataclass(frozen=True)
class Split:
    """images (N, C, H, W) and labels (N,), positions in the data set's `label_names`."""

    images: UInt8
    labels: Int64

    def first(self, n: int) -> Split:
        return Split(self.images[:n], self.labels[:n])

    def divided(self, n: int) -> tuple[Split, Split]:
        """The first n images, and the rest."""
        return self.first(n), Split(self.images[n:], self.labels[n:])


@dataclass(frozen=True)
class DataSource:
    """What `load_dataset` was asked for, as it was written: `data` may be a relative path."""

    data: str
    limit: int | None = None


@dataclass(frozen=True)
class Dataset:
    """A training and a test split of one image shape; without labels `label_names` is empty.

    `fit` says how image files were brought to the shape, see vae_runtime.formats.preprocess.
    `source` is None for images that no `load_dataset` has read. `test_origin` says in words which
    images are the test split.
    """

    train: Split
    test: Split
    label_names: tuple[str, ...] = ()
    fit: Fit = "contain"
    source: DataSource | None = None
    test_origin: str = ""

    @property
    def image_shape(self) -> ImageShape:
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
    source: str,
    limit: int | None = None,
    *,
    size: tuple[int, int] | None = None,
    channels: int | None = None,
) -> Dataset:
    """Read 'mnist' (fetched once into the user's cache), a folder, or a .npy or .npz file.

    A folder has IDX files in MNIST's layout, gzipped or not, or image files, with sub-folders as
    labels, and above them, if there are splits, train/ and test/ or val/. `limit` keeps the first
    images of both splits. Image files are brought to `size` (height, width) and `channels`, by
    default what they have. Of image files without splits and of numpy files a tenth, at most
    10,000, is held out as the test split. Raises VAEError naming the file that is missing or
    wrong, and for fewer than ten images.
    """
    path = mnist.fetch() if source == "mnist" else Path(source)
    data = _read(path, size, channels)
    if source == "mnist":
        # What the model will meet are photographs of handwriting.
        data = replace(data, fit="mnist")
    count = len(data.train.images) + len(data.test.images)
    if count < MIN_IMAGES:
        raise VAEError(f"{path}: {count} images are too few; at least {MIN_IMAGES} are needed")
    if size and data.image_shape[1:] != size:
        found = f"{data.image_shape[1]}×{data.image_shape[2]}"
        raise VAEError(
            f"{path}: its images are {found}, not {size[0]}×{size[1]}; only pictures are scaled"
        )
    if limit:
        data = replace(data, train=data.train.first(limit), test=data.test.first(limit))
    return replace(data, source=DataSource(source, limit))


def hold_out_validation(data: Dataset, count: int) -> Dataset:
    """The data set without its test images, with the last `count` training images instead of them.

    Raises VAEError where that leaves no training images.
    """
    n = len(data.train.images)
    if not 0 < count < n:
        raise VAEError(f"--validation {count}: there are {n} training images")
    train, heldout = data.train.divided(n - count)
    return replace(data, train=train, test=heldout, test_origin="the last training images")


def _read(path: Path, size: tuple[int, int] | None, channels: int | None) -> Dataset:
    if path.suffix in (".npy", ".npz"):
        return _hold_out_test(read_array(path))
    if not path.is_dir():
        raise VAEError(
            f"{path}: no such folder; --data takes 'mnist', a folder, or a .npy or .npz file"
        )
    if not _has_idx_files(path):
        image_files = image_files_in(path)
        if image_files:
            shape = shared_shape(path, image_files, size, channels)
            return _read_image_folder(path, image_files, shape)
    return _read_idx_folder(path)


def _read_image_folder(folder: Path, files: Sequence[Path], shape: ImageShape) -> Dataset:
    """Image files with the splits that the folder has, else with some held out."""
    splits = find_splits(folder, files)
    if splits is None:
        return _hold_out_test(read_folder(folder, files, shape))
    train = read_folder(splits.train, files_below(splits.train, files), shape)
    if splits.test is None:
        return _hold_out_test(train)
    test = read_folder(splits.test, files_below(splits.test, files), shape)
    origin = f"those in {splits.test.name}/"
    if splits.unused is not None:
        origin += f"; {splits.unused.name}/ is not used"
    return _joined(train, test, origin)


def _joined(train: Collection, test: Collection, origin: str) -> Dataset:
    """A data set of two collections, each of which may lack some of the other's labels."""
    names = tuple(sorted({*train.names, *test.names}))
    return Dataset(
        Split(train.images, _relabeled(train, names)),
        Split(test.images, _relabeled(test, names)),
        _telling(names),
        FIT,
        test_origin=origin,
    )


def _relabeled(collection: Collection, names: Sequence[str]) -> Int64:
    """The labels (N,) of a collection as positions in `names`."""
    position = {name: i for i, name in enumerate(names)}
    positions = np.array([position[name] for name in collection.names], np.int64)
    labels: Int64 = positions[collection.labels]
    return labels


def _hold_out_test(collection: Collection) -> Dataset:
    n = len(collection.images)
    heldout = min(MAX_TEST_IMAGES, max(1, n // TEST_FRACTION))
    train, test = Split(collection.images, collection.labels).divided(n - heldout)
    origin = f"held out of {n}"
    return Dataset(train, test, _telling(collection.names), FIT, test_origin=origin)


def _telling(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names of labels, or none: one label for everything says nothing."""
    return names if len(names) > 1 else ()


def _read_idx_folder(folder: Path) -> Dataset:
    train_images, train_labels, test_images, test_labels = [
        read_idx(_idx_path(folder, name)) for name in IDX_FILES
    ]
    train = _idx_split(folder, train_images, train_labels)
    test = _idx_split(folder, test_images, test_labels)
    if train.images.shape[1:] != test.images.shape[1:]:
        raise VAEError(f"{folder}: training and test images differ in size")
    last_label = int(max(train.labels.max(), test.labels.max()))
    names = tuple(str(label) for label in range(last_label + 1))
    return Dataset(train, test, names, test_origin="those of the t10k files")


def _has_idx_files(folder: Path) -> bool:
    return any(_existing_idx_path(folder, name) for name in IDX_FILES)


def _idx_path(folder: Path, name: str) -> Path:
    path = _existing_idx_path(folder, name)
    if path is None:
        raise VAEError(f"{folder}: {name} (or {name}.gz) is missing, and there are no pictures")
    return path


def _existing_idx_path(folder: Path, name: str) -> Path | None:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    return None


def _idx_split(folder: Path, images: UInt8, labels: UInt8) -> Split:
    belong_together = images.ndim == 3 and labels.ndim == 1 and len(images) == len(labels)
    if not belong_together or not len(images):
        raise VAEError(
            f"{folder}: images {images.shape} and labels {labels.shape} don't belong together; "
            "expected (N, H, W) and (N,)"
        )
    return Split(images[:, None], labels.astype(np.int64))
