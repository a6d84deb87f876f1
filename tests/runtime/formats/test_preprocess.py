"""The one preprocessing."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vae_runtime.bundle import FITS, Fit, Preprocess
from vae_runtime.formats.images import read_image_file, read_images
from vae_runtime.formats.preprocess import prepare

GRAY = (1, 28, 28)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I;16", "I", "F"]
)
@pytest.mark.parametrize("shape", [GRAY, (3, 16, 24)])
def test_every_mode_and_size_comes_to_the_models_shape(
    fit: Fit, mode: str, shape: tuple[int, int, int]
) -> None:
    for size in ((1, 1), (7, 100), (64, 48)):
        image = prepare(Image.new(mode, size), shape, Preprocess(fit))
        assert image.shape == shape
        assert image.dtype == np.float32
        assert 0 <= image.min() <= image.max() <= 1


def test_transparency_lies_over_black() -> None:
    picture = Image.new("RGBA", (28, 28), (255, 255, 255, 0))
    assert prepare(picture, GRAY, Preprocess()).max() == 0


def test_sixteen_bits_are_scaled() -> None:
    picture = Image.fromarray(np.full((28, 28), 65535, np.uint16))
    assert prepare(picture, GRAY, Preprocess()).min() == 1


def test_exif_rotation_is_applied(tmp_path: Path) -> None:
    picture = Image.new("L", (28, 28))
    picture.paste(255, (0, 0, 28, 14))
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    picture.save(tmp_path / "turned.png", exif=exif)
    image = read_image_file(tmp_path / "turned.png", GRAY, Preprocess())[0]
    assert image[:14].max() == 0
    assert image[14:].min() == 1


def test_contain_pads_and_crop_cuts() -> None:
    wide = Image.new("L", (56, 28), 255)
    contained = prepare(wide, GRAY, Preprocess("contain"))[0]
    assert contained[:7].max() == contained[21:].max() == 0
    assert contained[8:20].min() > 0.99
    assert prepare(wide, GRAY, Preprocess("crop")).min() > 0.99


def test_mnist_fit_centers_the_ink_and_scales_it_to_twenty_pixels() -> None:
    paper = Image.new("L", (300, 200), 255)
    paper.paste(0, (20, 30, 60, 130))
    image = prepare(paper, GRAY, Preprocess("mnist", invert=True))[0]
    rows, columns = np.nonzero(image > 0.5)
    assert rows.max() - rows.min() + 1 == 20
    # Like MNIST's own images, whose centers of mass lie at pixel 14.0 on average, ±0.5.
    assert abs(rows.mean() - 14) <= 0.51
    assert abs(columns.mean() - 14) <= 0.51


@pytest.mark.slow
def test_mnist_fit_reproduces_mnist(test_images: np.ndarray) -> None:
    correlations = []
    for digit in test_images[:100]:
        enlarged = Image.fromarray(digit).resize((280, 280), Image.Resampling.BICUBIC)
        image = prepare(enlarged, GRAY, Preprocess("mnist"))[0]
        correlations.append(np.corrcoef(image.ravel(), digit.ravel())[0, 1])
    # A center of mass between two pixels may be rounded either way.
    assert np.median(correlations) > 0.96
    assert min(correlations) > 0.6


def test_an_idx_file_is_known_by_its_first_bytes(sample_folder: Path, tmp_path: Path) -> None:
    shutil.copy(sample_folder / "t10k-images-idx3-ubyte.gz", tmp_path / "digits")
    assert len(list(read_images([tmp_path / "digits"], GRAY, Preprocess()))) == 300


def test_transparent_paper_under_dark_ink_is_white() -> None:
    drawing = Image.new("RGBA", (28, 28), (0, 0, 0, 0))
    drawing.putpixel((14, 14), (0, 0, 0, 255))
    image = prepare(drawing, GRAY, Preprocess("contain", invert=True))
    assert (image.sum(), image[0, 14, 14]) == (1, 1)
