"""Folders with train/, test/ and val/ above their labels."""

from pathlib import Path

import numpy as np
import pytest
from tests.train.image_files import fill

from vae_train.data import load_dataset
from vae_train.folder_splits import find_splits

pytestmark = pytest.mark.usefixtures("cache")


def test_train_and_test_folders_are_splits_and_the_folders_in_them_labels(tmp_path: Path) -> None:
    fill(tmp_path / "photos" / "train" / "cats", 12)
    fill(tmp_path / "photos" / "train" / "dogs", 9, offset=100)
    fill(tmp_path / "photos" / "test" / "dogs", 4, offset=200)
    data = load_dataset(str(tmp_path / "photos"), size=(16, 16))
    assert data.label_names == ("cats", "dogs")
    assert np.bincount(data.train.labels).tolist() == [12, 9]
    assert data.test.labels.tolist() == [1, 1, 1, 1]
    assert data.test_origin == "those in test/"


def test_a_label_that_only_the_test_images_have_keeps_its_name(tmp_path: Path) -> None:
    fill(tmp_path / "photos" / "train" / "dogs", 12)
    fill(tmp_path / "photos" / "test" / "cats", 3, offset=100)
    fill(tmp_path / "photos" / "test" / "dogs", 2, offset=200)
    data = load_dataset(str(tmp_path / "photos"), size=(16, 16))
    assert data.label_names == ("cats", "dogs")
    assert set(data.train.labels) == {1}
    assert np.bincount(data.test.labels).tolist() == [3, 2]


@pytest.mark.parametrize("name", ["val", "Valid", "validation"])
def test_validation_images_stand_in_for_test_images(tmp_path: Path, name: str) -> None:
    fill(tmp_path / "photos" / "Train" / "cats", 12)
    fill(tmp_path / "photos" / name / "cats", 5, offset=100)
    data = load_dataset(str(tmp_path / "photos"), size=(16, 16))
    assert (len(data.train.images), len(data.test.images)) == (12, 5)
    assert data.label_names == ()
    assert data.test_origin == f"those in {name}/"


def test_test_images_come_before_validation_images_which_are_named(tmp_path: Path) -> None:
    for count, name in ((12, "train"), (5, "val"), (3, "test")):
        fill(tmp_path / "photos" / name, count, offset=100 * count)
    data = load_dataset(str(tmp_path / "photos"), size=(16, 16))
    assert (len(data.train.images), len(data.test.images)) == (12, 3)
    assert data.test_origin == "those in test/; val/ is not used"


def test_of_training_images_alone_some_are_held_out(tmp_path: Path) -> None:
    fill(tmp_path / "photos" / "train" / "cats", 10)
    fill(tmp_path / "photos" / "train" / "dogs", 10, offset=100)
    data = load_dataset(str(tmp_path / "photos"), size=(16, 16))
    assert data.label_names == ("cats", "dogs")
    assert (len(data.train.images), len(data.test.images)) == (18, 2)
    assert data.test_origin == "held out of 20"


def test_splits_share_one_size_and_color(tmp_path: Path) -> None:
    fill(tmp_path / "photos" / "train", 12, (32, 48), color=False)
    fill(tmp_path / "photos" / "test", 3, (32, 48), offset=100)
    data = load_dataset(str(tmp_path / "photos"))
    assert data.train.images.shape == (12, 3, 48, 32)
    assert data.test.images.shape == (3, 3, 48, 32)


@pytest.mark.parametrize(
    "names",
    [
        ["train/a.jpg", "planes/b.jpg"],
        ["train/a.jpg", "test/b.jpg", "c.jpg"],
        ["test/a.jpg", "val/b.jpg"],
        ["train/a.jpg", "training/b.jpg"],
        ["cats/train/a.jpg", "cats/test/b.jpg"],
    ],
    ids=str,
)
def test_folders_of_any_other_form_are_labels(names: list[str]) -> None:
    folder = Path("photos")
    assert find_splits(folder, [folder / name for name in names]) is None
