"""Images as people have them reach the model."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import vae_runtime


@pytest.fixture
def digit_file(test_images: np.ndarray, tmp_path: Path) -> Path:
    Image.fromarray(test_images[0]).save(tmp_path / "digit.png")
    return tmp_path / "digit.png"


def test_every_source_gives_the_same_image(
    digits: vae_runtime.VAE, test_images: np.ndarray, digit_file: Path
) -> None:
    expected = test_images[:1, None].astype(np.float32) / np.float32(255)
    with Image.open(digit_file) as picture, digit_file.open("rb") as file:
        sources: list[Any] = [
            digit_file,
            str(digit_file),
            digit_file.read_bytes(),
            io.BytesIO(digit_file.read_bytes()),
            file,
            picture,
            digit_file.parent,
            test_images[0],
            test_images[:1, ..., None],
            test_images[0, ..., None],
            test_images[0, None],
            test_images[:1].reshape(1, 784),
            test_images[0].astype(np.float64) / 255,
        ]
        for source in sources:
            np.testing.assert_allclose(digits.read(source), expected, atol=1e-7)
    mixed: Any = [digit_file, digit_file.read_bytes()]
    several = digits.read(mixed)
    np.testing.assert_array_equal(several, np.concatenate([expected, expected]))


def test_encode_reconstruct_edit_and_score_take_paths(
    digits: vae_runtime.VAE, test_images: np.ndarray, digit_file: Path
) -> None:
    image = test_images[:1]
    np.testing.assert_array_equal(digits.encode(digit_file)[0], digits.encode(image)[0])
    np.testing.assert_array_equal(digits.reconstruct(digit_file), digits.reconstruct(image))
    np.testing.assert_array_equal(digits.score(digit_file), digits.score(image))
    edited = digits.edit(digit_file, add="8")
    np.testing.assert_array_equal(edited, digits.edit(image, add="8"))


def test_the_fit_may_be_chosen(digits: vae_runtime.VAE, test_images: np.ndarray) -> None:
    wide = Image.new("L", (56, 28))
    wide.paste(Image.fromarray(test_images[0]), (14, 0))
    cropped = digits.read(wide, fit="crop")
    np.testing.assert_allclose(cropped[0, 0] * 255, test_images[0], atol=0.01)
    assert digits.read(wide, fit="contain").sum() < cropped.sum()


def test_colors_come_last_or_first(color: vae_runtime.VAE) -> None:
    images = np.random.default_rng(0).random((2, 3, 16, 16), np.float32)
    np.testing.assert_array_equal(color.read(images.transpose(0, 2, 3, 1)), images)
    np.testing.assert_array_equal(color.read(images[0].transpose(1, 2, 0)), images[:1])


@pytest.mark.parametrize("source", ["absent.png", Path("absent.png"), b"no image"])
def test_what_is_no_image_is_one_clear_error(digits: vae_runtime.VAE, source: object) -> None:
    with pytest.raises(vae_runtime.VAEError, match=r"absent.png: no such file|not an image"):
        digits.encode(source)  # type: ignore[arg-type]


def test_a_sheet_is_shown_and_saved(digits: vae_runtime.VAE, tmp_path: Path) -> None:
    images = digits.sample(4, seed=0)
    shown = digits.show(images)
    # Two tiles of 28 pixels, ten times enlarged, with a gap of one such pixel.
    assert shown.size == (570, 570)
    for suffix in ("png", "jpg", "webp", "gif"):
        digits.save(images, tmp_path / f"a.{suffix}")
        with Image.open(tmp_path / f"a.{suffix}") as picture:
            assert picture.size == shown.size
    with pytest.raises(vae_runtime.VAEError, match="a picture ends in .png, .jpg"):
        digits.save(images, tmp_path / "a.bmp")
    assert digits.show(digits.grid(3)).width == digits.show(digits.grid(3)).height


def test_a_single_image_is_not_mistaken_for_pixels(digits: vae_runtime.VAE, tmp_path: Path) -> None:
    from vae_runtime.formats import save_png

    image = digits.sample(1, seed=0)[0]
    with pytest.raises(TypeError, match=r"pixels must be uint8 \(H, W\).*make them .* by sheet"):
        save_png(image, tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_labels_stand_for_places_and_for_each_other(digits: vae_runtime.VAE) -> None:
    path = digits.interpolate("1", "7")
    assert path.shape == (10, 1, 28, 28)
    both = digits.sample_label(["3", "8"], 2, seed=0)
    np.testing.assert_array_equal(both[:2], digits.sample_label("3", 2, seed=0))
    with pytest.raises(ValueError, match="no label 'x'"):
        digits.interpolate("1", "x")


def test_what_is_printed_is_short(digits: vae_runtime.VAE) -> None:
    assert len(repr(digits.labels["4"])) < 80
    assert len(repr(digits.bundle)) < 120
    assert digits._repr_html_().startswith("<table><tr><th>path</th>")
