"""Image files are converted once, to a file that is mapped into memory."""

from pathlib import Path

import numpy as np
from tests.train.image_files import fill

from vae_train.data import load_dataset


def test_image_files_are_read_once_and_then_mapped(tmp_path: Path, cache: Path) -> None:
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
