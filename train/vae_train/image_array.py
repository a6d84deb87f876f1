"""A .npy or .npz file as a data set."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from vae_runtime.arrays import ImageShape, Int64, check_images, to_uint8
from vae_runtime.errors import VAEError
from vae_runtime.formats.npy import load_numpy
from vae_train.image_cache import Collection, Index, cached, shuffled_order

# Images that are checked and converted at once: float32 needs four times the memory.
CONVERSION_CHUNK = 1024
CHANNELS = (1, 3)


def read_array(path: Path) -> Collection:
    """The images of a .npy or .npz, uint8 or float in [0, 1].

    They are (N, H, W), (N, C, H, W) or (N, H, W, C) with one channel or three. A .npz may have
    `labels` (N,) beside its `images`. Raises VAEError for anything else.
    """
    stored = load_numpy(path, "images", mapped=True)
    images = _channels_first(stored)
    if images.ndim != 4 or images.shape[1] not in CHANNELS or not len(images):
        raise VAEError(
            f"{path}: images of shape {stored.shape}; "
            "expected (N, H, W), (N, C, H, W) or (N, H, W, C), where C is 1 or 3"
        )
    _, channels, height, width = images.shape
    shape = (channels, height, width)
    return cached(path.parent, [path], shape, partial(_convert, path, images, shape))


def _channels_first(stored: NDArray[Any]) -> NDArray[Any]:
    """Images as (N, C, H, W), without copying; what can't be images as it is."""
    if stored.ndim == 3:
        return stored[:, None]
    if stored.ndim == 4 and stored.shape[1] not in CHANNELS and stored.shape[3] in CHANNELS:
        return np.moveaxis(stored, 3, 1)
    return stored


def _convert(path: Path, stored: NDArray[Any], shape: ImageShape, file: BinaryIO) -> Index:
    order = shuffled_order(len(stored))
    names, labels = _labels_beside(path, len(stored))
    try:
        for start in range(0, len(order), CONVERSION_CHUNK):
            chosen = order[start : start + CONVERSION_CHUNK]
            images = check_images(stored[chosen], shape)
            file.write(to_uint8(images).tobytes())
    except (ValueError, TypeError) as error:
        raise VAEError(f"{path}: {error}") from None
    return Index(names, labels[order].tolist())


def _labels_beside(path: Path, n: int) -> tuple[list[str], Int64]:
    """The names of the labels in a .npz, and each image's label; no names where there are none."""
    unlabeled: tuple[list[str], Int64] = ([], np.zeros(n, np.int64))
    if path.suffix != ".npz":
        return unlabeled
    with np.load(path, allow_pickle=False) as arrays:
        if "labels" not in arrays.files:
            return unlabeled
        stored = arrays["labels"]
    if stored.shape != (n,):
        raise VAEError(f"{path}: labels {stored.shape} for {n} images")
    names, labels = np.unique(stored, return_inverse=True)
    return [str(name) for name in names], labels.astype(np.int64)
