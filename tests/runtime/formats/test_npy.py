"""numpy files."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from vae_runtime.errors import VAEError
from vae_runtime.formats.npy import load_numpy, write_npy


def test_chunks_become_the_file_that_numpy_would_write(tmp_path: Path) -> None:
    array = np.random.default_rng(0).random((7, 1, 2, 3), np.float32)
    np.save(tmp_path / "whole.npy", array)
    with (tmp_path / "chunks.npy").open("wb") as file:
        write_npy(file, [array[:4], array[4:]], array.shape)
    np.testing.assert_array_equal(np.load(tmp_path / "chunks.npy"), array)
    assert (tmp_path / "chunks.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()


def test_an_archive_gives_the_named_array_or_its_only_one(tmp_path: Path) -> None:
    np.savez(tmp_path / "two.npz", images=np.zeros(2), other=np.ones(3))
    np.savez(tmp_path / "one.npz", anything=np.ones(4))
    assert load_numpy(tmp_path / "two.npz", "images").shape == (2,)
    assert load_numpy(tmp_path / "one.npz", "images").shape == (4,)
    with pytest.raises(VAEError, match="no array 'latents' in it, it has images, other"):
        load_numpy(tmp_path / "two.npz", "latents")


def test_a_mapped_array_is_read_from_the_disk(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(5))
    assert isinstance(load_numpy(tmp_path / "a.npy", "images", mapped=True), np.memmap)


@pytest.mark.parametrize("compression", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_an_archive_that_numpy_does_not_write_is_refused(compression: int, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(2))
    with zipfile.ZipFile(tmp_path / "a.npz", "w", compression) as archive:
        archive.write(tmp_path / "a.npy", "images.npy")
    with pytest.raises(VAEError, match=r"a.npz: .*compressed in a way"):
        load_numpy(tmp_path / "a.npz", "images")
