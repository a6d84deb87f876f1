"""What callers pass, checked: images, latents and numpy files. Imports numpy alone, so that start-up stays short."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vae_runtime.errors import VAEError

Shape = tuple[int, int, int]
Array = NDArray[np.float32]
FLOAT32, UINT32 = np.dtype(np.float32), np.dtype(np.uint32)
BITS_OF_ONE = 0x3F800000  # read as whole numbers, float32 from 0 to 1 are those up to it; NaN and negatives lie above


def check_images(images: Any, shape: Shape) -> Array:
    """What a caller passes as images -> (N, C, H, W) float32 in [0, 1].

    Takes (N, C, H, W), for one channel also (N, H, W) and (H, W); float in [0, 1] or uint8. Raises TypeError for
    another dtype, ValueError for another shape, NaN, or values outside [0, 1].
    """
    array = np.asarray(images)
    if shape[0] == 1 and array.ndim in (2, 3):
        array = array.reshape(-1 if array.size else 0, 1, *array.shape[-2:])
    # What most callers pass goes through by one reduction in place of two: 3 µs of a single image's 60.
    if (
        array.dtype == FLOAT32
        and array.shape[1:] == shape
        and array.size
        and np.maximum.reduce(array.view(UINT32), None) <= BITS_OF_ONE
    ):
        return array
    if array.dtype.kind != "f" and array.dtype != np.uint8:
        raise TypeError(f"images must be floating point in [0, 1] or uint8, not {array.dtype}")
    if array.ndim != 4 or array.shape[1:] != shape:
        raise ValueError(f"images of shape {np.shape(images)} don't fit the model's (N, {', '.join(map(str, shape))})")
    if array.dtype == np.uint8:
        return array.astype(np.float32) / np.float32(255)
    # NaN compares false, so this catches it too.
    if array.size and not (np.minimum.reduce(array, None) >= 0 and np.maximum.reduce(array, None) <= 1):
        raise ValueError("images must lie in [0, 1] and hold no NaN; scale them, or pass uint8 for 0 … 255")
    return array.astype(np.float32, copy=False)


def check_latents(z: Any, latent_dim: int) -> NDArray[np.float32]:
    """What a caller passes as latents -> (N, latent_dim) float32; (latent_dim,) is one of them.

    Raises TypeError for what isn't numbers, ValueError for another width, NaN or infinity.
    """
    array = np.asarray(z)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"latents must be numbers, not {array.dtype}")
    if array.ndim == 1 and array.size:
        array = array[None]
    if array.ndim == 1 or (array.ndim == 2 and not len(array) and not array.shape[1]):
        array = array.reshape(0, latent_dim)
    if array.ndim != 2 or array.shape[1] != latent_dim:
        raise ValueError(f"latents of shape {np.shape(z)} don't fit the model's (N, {latent_dim})")
    with np.errstate(over="ignore"):
        result = array.astype(np.float32)
    if not np.isfinite(result).all():
        raise ValueError("latents hold NaN or infinity")
    return result


def load_numpy(path: Path, key: str, *, mapped: bool = False) -> NDArray[Any]:
    """An array from .npy, or from .npz under `key` or as the only one; never unpickled. Raises VAEError.

    `mapped` leaves a .npy on disk, from where the system reads what is used.
    """
    if not path.is_file():
        raise VAEError(f"{path}: no such file")
    try:
        loaded = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            if key not in loaded.files and len(loaded.files) != 1:
                raise VAEError(f"{path}: no array {key!r} in it, it has {', '.join(loaded.files) or 'none'}")
            array: NDArray[Any] = loaded[key if key in loaded.files else loaded.files[0]]
            return array
    except (
        OSError,
        ValueError,
        EOFError,
        zlib.error,
        KeyError,
        SyntaxError,
        MemoryError,
        NotImplementedError,
    ) as error:
        reason = str(error).splitlines()[0] if str(error) else "empty"
        if "pickle" in reason:  # numpy advises to unpickle what it doesn't know
            reason = "damaged, or it holds Python objects"
        raise VAEError(f"{path}: not a readable numpy file: {reason}") from None
