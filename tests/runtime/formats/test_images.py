"""Images from files and folders."""

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.runtime.helpers import Run

from vae_runtime.bundle import Preprocess
from vae_runtime.errors import VAEError
from vae_runtime.formats.images import read_image_file, read_images

GRAY = (1, 28, 28)


def test_a_picture_of_the_models_size_is_unchanged(test_images: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(test_images[0]).save(tmp_path / "digit.png")
    for fit in ("contain", "stretch", "crop"):
        image = read_image_file(tmp_path / "digit.png", GRAY, Preprocess(fit))
        np.testing.assert_array_equal(image[0], test_images[0].astype(np.float32) / np.float32(255))


def test_what_is_no_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(VAEError, match="text.png: not an image"):
        read_image_file(tmp_path / "text.png", GRAY, Preprocess())
    Image.new("RGB", (64, 64), "red").save(tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:60])
    with pytest.raises(VAEError, match="cut.png: a damaged image"):
        read_image_file(tmp_path / "cut.png", GRAY, Preprocess())
    (tmp_path / "empty").mkdir()
    with pytest.raises(VAEError, match="empty: no images in this folder"):
        list(read_images([tmp_path / "empty"], GRAY, Preprocess()))


def test_folders_idx_and_numpy_files_are_read(
    sample_folder: Path, test_images: np.ndarray, tmp_path: Path
) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    Image.fromarray(test_images[0]).save(tmp_path / "a" / "b" / "x.png")
    np.save(tmp_path / "y.npy", test_images[:2])
    np.savez(tmp_path / "z.npz", images=test_images[:3], other=np.zeros(2))
    paths = [
        tmp_path / "a",
        tmp_path / "y.npy",
        tmp_path / "z.npz",
        sample_folder / "t10k-images-idx3-ubyte.gz",
    ]
    named = list(read_images(paths, GRAY, Preprocess()))
    assert len(named) == 1 + 2 + 3 + 300
    assert named[0].name == str(tmp_path / "a" / "b" / "x.png")
    np.testing.assert_array_equal(named[0].image, named[1].image)


def test_hidden_files_and_folders_named_like_pictures_are_passed_over(tmp_path: Path) -> None:
    Image.new("L", (28, 28)).save(tmp_path / "a.png")
    (tmp_path / "._a.png").write_bytes(b"AppleDouble")
    (tmp_path / "folder.png").mkdir()
    assert [Path(named.name).name for named in read_images([tmp_path], GRAY, Preprocess())] == [
        "a.png"
    ]


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "evil.npy", np.array([print], dtype=object), allow_pickle=True)
    with pytest.raises(VAEError, match="evil.npy: not a readable numpy file: damaged, or it holds"):
        list(read_images([tmp_path / "evil.npy"], GRAY, Preprocess()))


def test_pillow_says_nothing_of_a_damaged_file(vae_run: Run, tmp_path: Path) -> None:
    Image.new("RGB", (2, 2)).save(tmp_path / "x.tif")
    content = bytearray((tmp_path / "x.tif").read_bytes())
    # What says how many samples a pixel has: tag, type, count, value.
    entry = struct.pack("<HHIH", 277, 3, 1, 3)
    assert content.count(entry) == 1
    place = content.index(entry)
    content[place : place + len(entry)] = struct.pack("<HHIH", 277, 3, 1, 259)
    (tmp_path / "x.tif").write_bytes(content)
    done = vae_run("encode", "x.tif")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
