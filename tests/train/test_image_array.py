"""Numpy files as data sets."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from vae_runtime.errors import VAEError
from vae_train.data import load_dataset

pytestmark = pytest.mark.usefixtures("cache")


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.integers(10, 40),
    st.sampled_from([(), (1,), (3,)]),
    st.integers(16, 24),
    st.sampled_from([np.uint8, np.float32, np.float64]),
    st.booleans(),
)
def test_numpy_files_keep_every_image(
    tmp_path: Path,
    n: int,
    channels: tuple[int, ...],
    side: int,
    dtype: type[np.generic],
    labeled: bool,
) -> None:
    rng = np.random.default_rng(n)
    images = rng.integers(0, 256, (n, *channels, side, side + 4), np.uint8)
    stored = images if dtype is np.uint8 else (images / 255).astype(dtype)
    path = tmp_path / "images.npz"
    if labeled:
        np.savez(path, images=stored, labels=np.arange(n) % 3)
    else:
        np.savez(path, images=stored)
    data = load_dataset(str(path))
    assert data.image_shape == ((channels or (1,))[0], side, side + 4)
    found = np.concatenate([data.train.images, data.test.images])
    expected = images.reshape(n, *data.image_shape)
    assert sorted(i.tobytes() for i in found) == sorted(i.tobytes() for i in expected)
    if labeled:
        labels = np.concatenate([data.train.labels, data.test.labels])
        label_of = {image.tobytes(): i % 3 for i, image in enumerate(expected)}
        names = [int(data.label_names[label]) for label in labels]
        assert names == [label_of[image.tobytes()] for image in found]


@pytest.mark.parametrize("channels", [1, 3])
def test_the_channels_may_come_last(tmp_path: Path, channels: int) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (12, 16, 20, channels), np.uint8)
    np.save(tmp_path / "last.npy", images)
    np.save(tmp_path / "first.npy", images.transpose(0, 3, 1, 2))
    last = load_dataset(str(tmp_path / "last.npy"))
    assert last.image_shape == (channels, 16, 20)
    assert last.fingerprint == load_dataset(str(tmp_path / "first.npy")).fingerprint


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 28)),
        np.zeros((4, 2, 28, 28)),
        np.zeros((4, 28, 28, 4)),
        np.full((4, 28, 28), 2.0),
        np.zeros((4, 28, 28), np.int64),
    ],
    ids=str,
)
def test_arrays_that_are_no_images_are_one_line(tmp_path: Path, array: NDArray[Any]) -> None:
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(VAEError, match="x.npy: "):
        load_dataset(str(tmp_path / "x.npy"))
