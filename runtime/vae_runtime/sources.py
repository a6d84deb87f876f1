"""Images as people have them: paths, folders, bytes, open files, Pillow images, arrays of any
layout.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, Union

import numpy as np
from numpy.typing import ArrayLike

from vae_runtime.arrays import Float32, ImageShape, as_array, check_images
from vae_runtime.bundle import Preprocess
from vae_runtime.door import MAX_IMAGE_BYTES, MAX_PIXELS, read_limited

if TYPE_CHECKING:
    from PIL import Image

ImageSource = Union[
    ArrayLike,
    str,
    "os.PathLike[str]",
    bytes,
    BinaryIO,
    "Image.Image",
    "Sequence[str | os.PathLike[str] | bytes | BinaryIO | Image.Image]",
]
"""What `VAE.read` takes."""


def images_from(
    source: ImageSource, shape: ImageShape, preprocess: Preprocess, max_pixels: int = MAX_PIXELS
) -> Float32:
    """Any source of images as (N, C, H, W) float32 in [0, 1]; `shape` is (C, H, W).

    Arrays are (N, C, H, W), (N, H, W, C), one image of these without N, for one channel also (N, H,
    W) and (H, W), or flat, (N, C·H·W); float in [0, 1] or uint8. They must have the model's size;
    image files and Pillow images are brought to it by `preprocess`. Raises VAEError for a file that
    is missing or no image, ValueError and TypeError for arrays that don't fit.
    """
    if _is_single(source):
        return _read_single(source, shape, preprocess, max_pixels)
    if isinstance(source, list | tuple) and source and all(_is_single(item) for item in source):
        return np.concatenate(
            [_read_single(item, shape, preprocess, max_pixels) for item in source]
        )
    return check_images(_channels_first(as_array(source, "images"), shape), shape)


def _is_single(source: Any) -> bool:
    """Whether it is a path, bytes, an open file or a Pillow image."""
    if isinstance(source, str | bytes | os.PathLike):
        return True
    return hasattr(source, "read") or _is_pillow_image(source)


def _is_pillow_image(source: Any) -> bool:
    # Whoever has a Pillow image has loaded Pillow; it need not be loaded to find out.
    return type(source).__module__.startswith("PIL.")


def _read_single(
    source: Any, shape: ImageShape, preprocess: Preprocess, max_pixels: int
) -> Float32:
    from vae_runtime.formats.images import read_image_bytes, read_images
    from vae_runtime.formats.preprocess import prepare

    if _is_pillow_image(source):
        return prepare(source, shape, preprocess)[None]
    if isinstance(source, bytes):
        return read_image_bytes(source, shape, preprocess, max_pixels)[None]
    if hasattr(source, "read"):
        content = read_limited(source, MAX_IMAGE_BYTES, "the image")
        return read_image_bytes(content, shape, preprocess, max_pixels)[None]
    named: Iterator[Any] = read_images([source], shape, preprocess, max_pixels=max_pixels)
    return np.stack([item.image for item in named])


def _channels_first(array: np.ndarray, shape: ImageShape) -> np.ndarray:
    """Arrays with channels last, or flat, as (N, C, H, W); all others as they are."""
    channels, height, width = shape
    last = (height, width, channels)
    if array.shape[-3:] == last and array.shape[-3:] != shape and array.ndim in (3, 4):
        return np.moveaxis(array.reshape(-1, *last), -1, 1)
    if array.shape == shape:
        return array[None]
    if array.ndim == 2 and array.shape[1] == channels * height * width:
        return array.reshape(-1, *shape)
    return array
