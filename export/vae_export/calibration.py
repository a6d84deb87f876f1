"""Images and labels from files, for the command line: what scores and int8 are measured on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vae_runtime.arrays import Float32, ImageShape
from vae_runtime.bundle import Preprocess
from vae_runtime.errors import VAEError
from vae_runtime.formats.idx import looks_like_idx, read_idx
from vae_runtime.formats.images import image_files_in, read_images
from vae_runtime.formats.npy import load_numpy

MIN_CALIBRATION_IMAGES = 16
# In place of a file of labels: each image's folder is its label.
FOLDER_LABELS = "folders"


def read_calibration(path: Path, image_shape: ImageShape, preprocess: Preprocess) -> Float32:
    """Images (N, C, H, W) to calibrate on, of a folder as many as are used, from all over it.

    Raises VAEError for fewer than 16.
    """
    from vae_export.int8.variant import CALIBRATION_IMAGES, spread_out

    paths = [path]
    if path.is_dir():
        found = image_files_in(path)
        paths = [found[i] for i in spread_out(len(found), CALIBRATION_IMAGES)]
    images = [named.image for named in read_images(paths, image_shape, preprocess)]
    if len(images) < MIN_CALIBRATION_IMAGES:
        raise VAEError(
            f"{path}: int8 needs at least {MIN_CALIBRATION_IMAGES} images for calibration, "
            f"not {len(images)}"
        )
    return np.stack(images)


def read_labelled(
    path: Path, labels: Path, image_shape: ImageShape, preprocess: Preprocess
) -> tuple[Float32, list[str]]:
    """All images (N, C, H, W) of a folder or file, and the label of each.

    `labels` is IDX, `.npy` or a text file with one label a line, or the word `folders`. Raises
    VAEError where there aren't as many labels as images.
    """
    if str(labels) == FOLDER_LABELS:
        files = image_files_in(path)
        names = [file.parent.name for file in files]
        images = [named.image for named in read_images(files, image_shape, preprocess)]
    else:
        names = _read_labels(labels)
        images = [named.image for named in read_images([path], image_shape, preprocess)]
    if not images or len(names) != len(images):
        raise VAEError(f"{labels}: {len(names)} labels for the {len(images)} images of {path}")
    return np.stack(images), names


def _read_labels(path: Path) -> list[str]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise VAEError(f"{path}: cannot be read: {error.strerror}") from error
    if path.suffix == ".npy":
        return [str(label) for label in load_numpy(path, "labels").ravel().tolist()]
    if path.suffix == ".gz" or looks_like_idx(content):
        return [str(label) for label in read_idx(path).ravel().tolist()]
    try:
        return content.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise VAEError(f"{path}: neither IDX nor .npy nor text") from error
