"""Folders of pictures and numpy files as data sets."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from vae_runtime.errors import VAEError
from vae_train.data import load_dataset, without_test


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VAE_EDGE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def fill(folder: Path, count: int, size: tuple[int, int] = (40, 30), colour: bool = True, offset: int = 0) -> None:
    """`count` JPEGs with random flat colours."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(offset)
    for i in range(count):
        value = tuple(random.integers(0, 256, 3).tolist()) if colour else int(random.integers(0, 256))
        Image.new("RGB" if colour else "L", size, value).save(folder / f"{offset + i:04d}.jpg")


def test_sub_folders_are_labels_and_a_tenth_is_held_out(tmp_path: Path) -> None:
    fill(tmp_path / "photos" / "cats", 30)
    fill(tmp_path / "photos" / "dogs" / "small", 20, (50, 60), offset=100)
    data = load_dataset(str(tmp_path / "photos"), size=(32, 32))
    assert data.image_shape == (3, 32, 32)
    assert data.label_names == ("cats", "dogs")
    assert (len(data.train.images), len(data.test.images)) == (45, 5)
    labels = np.concatenate([data.train.labels, data.test.labels])
    assert np.bincount(labels).tolist() == [30, 20]
    assert 0 < data.train.labels[:10].sum() < 10  # shuffled
    assert data.fit == "crop"


def test_the_pictures_are_read_once_and_then_mapped(tmp_path: Path, cache: Path) -> None:
    fill(tmp_path / "photos", 12)
    first = load_dataset(str(tmp_path / "photos"), size=(16, 16))
    (stored,) = cache.rglob("images.bin")
    before = stored.stat().st_mtime_ns
    second = load_dataset(str(tmp_path / "photos"), size=(16, 16))
    assert stored.stat().st_mtime_ns == before
    assert second.fingerprint == first.fingerprint
    assert isinstance(second.train.images, np.memmap)
    assert second.label_names == ()
    fill(tmp_path / "photos", 1, offset=50)
    assert len(load_dataset(str(tmp_path / "photos"), size=(16, 16)).train.images) == 12


def test_grey_pictures_of_one_size_need_no_option(tmp_path: Path) -> None:
    fill(tmp_path / "scans", 10, (32, 48), colour=False)
    assert load_dataset(str(tmp_path / "scans")).image_shape == (1, 48, 32)


def test_pictures_of_many_sizes_need_image_size(tmp_path: Path) -> None:
    fill(tmp_path / "photos", 3)
    fill(tmp_path / "photos", 3, (64, 64), offset=10)
    with pytest.raises(VAEError, match="differ in size; say which to train on with --image-size"):
        load_dataset(str(tmp_path / "photos"))
    fill(tmp_path / "large", 3, (640, 480))
    with pytest.raises(VAEError, match="640×480; scale them to 16 … 128 pixels with --image-size"):
        load_dataset(str(tmp_path / "large"))


def test_a_damaged_picture_is_named_and_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(tmp_path / "photos", 120)
    (tmp_path / "photos" / "torn.jpg").write_bytes((tmp_path / "photos" / "0000.jpg").read_bytes()[:300])
    data = load_dataset(str(tmp_path / "photos"), size=(16, 16))
    assert len(data.train.images) + len(data.test.images) == 120
    shown = capsys.readouterr().err
    assert "torn.jpg: " in shown
    assert "skipped 1 damaged images of 121" in shown


def test_too_many_damaged_pictures_stop_it(tmp_path: Path, cache: Path) -> None:
    fill(tmp_path / "photos", 60)
    (tmp_path / "photos" / "torn.png").write_bytes(b"\x89PNG")
    with pytest.raises(VAEError, match=r"1 of 61 images are damaged, beginning with .*torn.png"):
        load_dataset(str(tmp_path / "photos"), size=(16, 16))
    assert not list(cache.rglob("*.bin"))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(2, 40),
    st.sampled_from([(), (1,), (3,)]),
    st.integers(16, 24),
    st.sampled_from([np.uint8, np.float32, np.float64]),
    st.booleans(),
)
def test_numpy_files_keep_every_image(tmp_path: Path, n: int, channels, side: int, dtype, labelled: bool) -> None:
    random = np.random.default_rng(n)
    images = random.integers(0, 256, (n, *channels, side, side + 4), np.uint8)
    stored = images if dtype is np.uint8 else (images / 255).astype(dtype)
    path = tmp_path / "images.npz"
    np.savez(path, images=stored, **({"labels": np.arange(n) % 3} if labelled else {}))
    data = load_dataset(str(path))
    assert data.image_shape == ((channels or (1,))[0], side, side + 4)
    found = np.concatenate([data.train.images, data.test.images])
    expected = images.reshape(n, *data.image_shape)
    assert sorted(i.tobytes() for i in found) == sorted(i.tobytes() for i in expected)
    if labelled:
        labels = np.concatenate([data.train.labels, data.test.labels])
        by_bytes = {image.tobytes(): i % 3 for i, image in enumerate(expected)}
        assert [int(data.label_names[k]) for k in labels] == [by_bytes[i.tobytes()] for i in found]


@pytest.mark.parametrize(
    "array",
    [np.zeros((4, 28)), np.zeros((4, 2, 28, 28)), np.full((4, 28, 28), 2.0), np.zeros((4, 28, 28), np.int64)],
    ids=str,
)
def test_arrays_that_are_no_images_are_one_line(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(VAEError, match="x.npy: "):
        load_dataset(str(tmp_path / "x.npy"))


def test_validation_takes_the_place_of_the_test_set(data) -> None:
    held = without_test(data, 50)
    assert len(held.train.images) == len(data.train.images) - 50
    np.testing.assert_array_equal(held.test.images, data.train.images[-50:])
    with pytest.raises(VAEError, match="--validation 200: there are 200"):
        without_test(data, 200)
