"""Folders of image files as data sets."""

from pathlib import Path

import numpy as np
import pytest
from tests.train.image_files import fill

from vae_runtime.errors import VAEError
from vae_train.data import load_dataset

pytestmark = pytest.mark.usefixtures("cache")


def test_sub_folders_are_labels_and_a_tenth_is_held_out(tmp_path: Path) -> None:
    fill(tmp_path / "photos" / "cats", 30)
    fill(tmp_path / "photos" / "dogs" / "small", 20, (50, 60), offset=100)
    data = load_dataset(str(tmp_path / "photos"), size=(32, 32))
    assert data.image_shape == (3, 32, 32)
    assert data.label_names == ("cats", "dogs")
    assert (len(data.train.images), len(data.test.images)) == (45, 5)
    labels = np.concatenate([data.train.labels, data.test.labels])
    assert np.bincount(labels).tolist() == [30, 20]
    # They are shuffled.
    assert 0 < data.train.labels[:10].sum() < 10
    assert data.fit == "crop"


def test_gray_image_files_of_one_size_need_no_option(tmp_path: Path) -> None:
    fill(tmp_path / "scans", 10, (32, 48), color=False)
    assert load_dataset(str(tmp_path / "scans")).image_shape == (1, 48, 32)


def test_image_files_of_many_sizes_need_image_size(tmp_path: Path) -> None:
    fill(tmp_path / "photos", 3)
    fill(tmp_path / "photos", 3, (64, 64), offset=10)
    with pytest.raises(VAEError, match="differ in size; say which to train on with --image-size"):
        load_dataset(str(tmp_path / "photos"))
    fill(tmp_path / "large", 3, (640, 480))
    with pytest.raises(VAEError, match="640×480; scale them to 16 … 128 pixels with --image-size"):
        load_dataset(str(tmp_path / "large"))


def test_a_damaged_image_file_is_named_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(tmp_path / "photos", 120)
    whole = (tmp_path / "photos" / "0000.jpg").read_bytes()
    (tmp_path / "photos" / "torn.jpg").write_bytes(whole[:300])
    data = load_dataset(str(tmp_path / "photos"), size=(16, 16))
    assert len(data.train.images) + len(data.test.images) == 120
    shown = capsys.readouterr().err
    assert "torn.jpg: " in shown
    assert "skipped 1 damaged images of 121" in shown


def test_too_many_damaged_image_files_stop_it(tmp_path: Path, cache: Path) -> None:
    fill(tmp_path / "photos", 60)
    (tmp_path / "photos" / "torn.png").write_bytes(b"\x89PNG")
    with pytest.raises(VAEError, match=r"1 of 61 images are damaged, beginning with .*torn.png"):
        load_dataset(str(tmp_path / "photos"), size=(16, 16))
    assert not list(cache.rglob("*.bin"))
