"""The names of array types, and the checks of arrays that callers pass. Imports numpy alone."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vae_runtime.fast import within_unit_interval

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
UInt8 = NDArray[np.uint8]
Int64 = NDArray[np.int64]
Mask = NDArray[np.bool_]

ImageShape = tuple[int, int, int]
"""(C, H, W)."""

FLOAT32 = np.dtype(np.float32)


def check_images(images: Any, shape: ImageShape) -> Float32:
    """What a caller passes as images -> (N, C, H, W) float32 in [0, 1].

    Takes (N, C, H, W), for one channel also (N, H, W) and (H, W); float in [0, 1] or uint8. Raises
    TypeError for another dtype, ValueError for another shape, NaN, or values outside [0, 1].
    """
    array = as_array(images, "images")
    if shape[0] == 1 and array.ndim in (2, 3):
        count = -1 if array.size else 0
        array = array.reshape(count, 1, *array.shape[-2:])
    # Most callers pass float32 of the right shape, which is through here.
    is_right = array.dtype == FLOAT32 and array.shape[1:] == shape and array.size
    if is_right and within_unit_interval(array):
        return array
    if array.dtype.kind != "f" and array.dtype != np.uint8:
        raise TypeError(f"images must be floating point in [0, 1] or uint8, not {array.dtype}")
    if array.ndim != 4 or array.shape[1:] != shape:
        wanted = ", ".join(map(str, shape))
        raise ValueError(f"images of shape {np.shape(images)} don't fit the model's (N, {wanted})")
    if array.dtype == np.uint8:
        return array.astype(np.float32) / np.float32(255)
    # NaN compares false, so this catches it too.
    if array.size and not (np.min(array) >= 0 and np.max(array) <= 1):
        raise ValueError(
            "images must lie in [0, 1] and hold no NaN; scale them, or pass uint8 for 0 … 255"
        )
    return array.astype(np.float32, copy=False)


def check_latents(z: Any, latent_dim: int) -> Float32:
    """What a caller passes as latents -> (N, latent_dim) float32; (latent_dim,) is one of them.

    Raises TypeError for what isn't numbers, ValueError for another width, NaN or infinity.
    """
    array = as_array(z, "latents")
    if array.dtype.kind not in "fiu":
        raise TypeError(f"latents must be numbers, not {array.dtype}")
    is_empty = array.size == 0 and (array.ndim == 1 or array.shape == (0, 0))
    if is_empty:
        array = array.reshape(0, latent_dim)
    if array.ndim == 1:
        array = array[None]
    if array.ndim != 2 or array.shape[1] != latent_dim:
        raise ValueError(f"latents of shape {np.shape(z)} don't fit the model's (N, {latent_dim})")
    # float64 beyond the largest float32 becomes infinity, which is refused below.
    with np.errstate(over="ignore"):
        result = array.astype(np.float32)
    if not np.isfinite(result).all():
        raise ValueError("latents hold NaN or infinity")
    return result


def check_latents_of_shape(z: Any, latent_shape: tuple[int, ...]) -> Float32:
    """Latents (N, *latent_shape), flattened (N, D), or one of them -> (N, D) float32.

    Raises what `check_latents` raises, and ValueError for small images of another shape.
    """
    if len(latent_shape) > 1 and np.ndim(z) > 2:
        array = np.asarray(z)
        if array.shape[-len(latent_shape) :] != latent_shape:
            raise ValueError(
                f"latents of shape {array.shape} don't end in the model's {latent_shape}"
            )
        z = array.reshape(-1, math.prod(latent_shape))
    return check_latents(z, math.prod(latent_shape))


def check_tiles(images: Any) -> Float32:
    """Images of any number of dimensions -> float32; uint8 becomes [0, 1], other values stay.

    Raises TypeError for what isn't numbers, ValueError for NaN and infinity.
    """
    array = as_array(images, "images")
    if array.dtype == np.uint8:
        return array.astype(np.float32) / np.float32(255)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"images must be numbers, not {array.dtype}")
    with np.errstate(over="ignore"):
        tiles = array.astype(np.float32)
    if not np.isfinite(tiles).all():
        raise ValueError("images hold NaN or infinity")
    return tiles


def as_array(values: Any, name: str) -> np.ndarray:
    """An array of what numpy takes for one. Raises ValueError naming it."""
    if type(values) is np.ndarray:
        return values
    try:
        mask = np.asarray(getattr(values, "mask", False))
        if mask.dtype != bool or mask.any():
            raise ValueError("some values are masked; fill them first")
        return np.asarray(values)
    except (ValueError, TypeError, OverflowError, RuntimeError) as error:
        # Ragged lists; objects that fail when numpy asks them for an array, or for their length.
        raise ValueError(f"{name} are no array: {error}") from None


def to_uint8(images: NDArray[np.floating]) -> UInt8:
    """float in [0, 1] -> rounded to 0 … 255."""
    return np.asarray(np.rint(np.clip(images, 0, 1) * 255), np.uint8)


def sorted_labels(labels: Any) -> list[str]:
    """Every label once, as text, shorter ones first: 2 stands before 10."""
    return sorted({str(label) for label in labels}, key=lambda text: (len(text), text))
