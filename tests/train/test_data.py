import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest

from vae_runtime.errors import VAEError
from vae_train.data import IDX_FILES, Dataset, hold_out_validation, load_dataset


@pytest.fixture
def folder(sample_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sample_folder, tmp_path / "mnist"))


def test_plain_and_gzipped_files_are_the_same_data(folder: Path) -> None:
    zipped = load_dataset(str(folder))
    for name in IDX_FILES:
        archive = folder / f"{name}.gz"
        (folder / name).write_bytes(gzip.decompress(archive.read_bytes()))
        archive.unlink()
    assert load_dataset(str(folder)).fingerprint == zipped.fingerprint
    assert zipped.image_shape == (1, 28, 28)
    assert (len(zipped.train.images), len(zipped.test.images)) == (1000, 300)


def test_limit_keeps_the_first_images(folder: Path) -> None:
    few = load_dataset(str(folder), 50)
    assert (len(few.train.images), len(few.test.labels)) == (50, 50)


@pytest.mark.parametrize("name", IDX_FILES)
def test_a_missing_or_truncated_file_is_named(folder: Path, name: str) -> None:
    archive = folder / f"{name}.gz"
    content = gzip.decompress(archive.read_bytes())
    archive.write_bytes(gzip.compress(content[:-1]))
    with pytest.raises(VAEError, match=f"{name}.gz: truncated"):
        load_dataset(str(folder))
    archive.unlink()
    with pytest.raises(VAEError, match=f"{name} .*is missing"):
        load_dataset(str(folder))


def test_labels_for_other_images_are_refused(folder: Path) -> None:
    shutil.copy(folder / f"{IDX_FILES[3]}.gz", folder / f"{IDX_FILES[1]}.gz")
    with pytest.raises(VAEError, match="don't belong together"):
        load_dataset(str(folder))


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(VAEError, match="nowhere: no such folder"):
        load_dataset(str(tmp_path / "nowhere"))


def test_validation_takes_the_place_of_the_test_set(data: Dataset) -> None:
    validated = hold_out_validation(data, 50)
    assert len(validated.train.images) == len(data.train.images) - 50
    np.testing.assert_array_equal(validated.test.images, data.train.images[-50:])
    np.testing.assert_array_equal(validated.test.labels, data.train.labels[-50:])
    with pytest.raises(VAEError, match="--validation 200: there are 200"):
        hold_out_validation(data, 200)


def test_fewer_than_ten_images_are_refused(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "images.npy"
    np.save(path, np.zeros((9, 28, 28), np.uint8))
    with pytest.raises(VAEError, match=r"images.npy: 9 images are too few; at least 10 are needed"):
        load_dataset(str(path))
    np.save(path, np.zeros((10, 28, 28), np.uint8))
    data = load_dataset(str(path))
    assert (len(data.train.images), len(data.test.images)) == (9, 1)
    assert data.test_origin == "held out of 10"
