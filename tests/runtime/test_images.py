import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from vae_runtime.bundle import FITS, Preprocess
from vae_runtime.errors import VAEError
from vae_runtime.images import check_images, prepare, read_images, read_picture

GREY = (1, 28, 28)


def test_a_picture_of_the_models_size_is_unchanged(test_images: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(test_images[0]).save(tmp_path / "digit.png")
    for fit in ("contain", "stretch", "crop"):
        image = read_picture(tmp_path / "digit.png", GREY, Preprocess(fit))
        np.testing.assert_array_equal(image[0], test_images[0].astype(np.float32) / np.float32(255))


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I;16", "I", "F"])
@pytest.mark.parametrize("shape", [GREY, (3, 16, 24)])
def test_every_mode_and_size_comes_to_the_models_shape(fit: str, mode: str, shape: tuple[int, int, int]) -> None:
    for size in ((1, 1), (7, 100), (64, 48)):
        image = prepare(Image.new(mode, size), shape, Preprocess(fit))
        assert image.shape == shape
        assert image.dtype == np.float32
        assert 0 <= image.min() <= image.max() <= 1


def test_transparency_lies_over_black() -> None:
    picture = Image.new("RGBA", (28, 28), (255, 255, 255, 0))
    assert prepare(picture, GREY, Preprocess()).max() == 0


def test_sixteen_bits_are_scaled() -> None:
    picture = Image.fromarray(np.full((28, 28), 65535, np.uint16))
    assert prepare(picture, GREY, Preprocess()).min() == 1


def test_exif_rotation_is_applied(tmp_path: Path) -> None:
    picture = Image.new("L", (28, 28))
    picture.paste(255, (0, 0, 28, 14))
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    picture.save(tmp_path / "turned.png", exif=exif)
    image = read_picture(tmp_path / "turned.png", GREY, Preprocess())[0]
    assert image[:14].max() == 0
    assert image[14:].min() == 1


def test_contain_pads_and_crop_cuts() -> None:
    wide = Image.new("L", (56, 28), 255)
    contained = prepare(wide, GREY, Preprocess("contain"))[0]
    assert contained[:7].max() == contained[21:].max() == 0
    assert contained[8:20].min() > 0.99
    assert prepare(wide, GREY, Preprocess("crop")).min() > 0.99


def test_mnist_fit_centres_the_ink_and_scales_it_to_twenty_pixels() -> None:
    paper = Image.new("L", (300, 200), 255)
    paper.paste(0, (20, 30, 60, 130))
    image = prepare(paper, GREY, Preprocess("mnist", invert=True))[0]
    rows, columns = np.nonzero(image > 0.5)
    assert rows.max() - rows.min() + 1 == 20
    assert abs((rows.mean() + 0.5) - 14) <= 0.5
    assert abs((columns.mean() + 0.5) - 14) <= 0.5


def test_mnist_fit_reproduces_mnist(test_images: np.ndarray) -> None:
    correlations = []
    for digit in test_images:
        enlarged = Image.fromarray(digit).resize((280, 280), Image.Resampling.BICUBIC)
        image = prepare(enlarged, GREY, Preprocess("mnist"))[0]
        correlations.append(np.corrcoef(image.ravel(), digit.ravel())[0, 1])
    # A centre of mass between two pixels may be rounded either way.
    assert np.median(correlations) > 0.96
    assert min(correlations) > 0.6


def test_what_is_no_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(VAEError, match="text.png: not an image"):
        read_picture(tmp_path / "text.png", GREY, Preprocess())
    Image.new("RGB", (64, 64), "red").save(tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:60])
    with pytest.raises(VAEError, match="cut.png: a damaged image"):
        read_picture(tmp_path / "cut.png", GREY, Preprocess())
    (tmp_path / "empty").mkdir()
    with pytest.raises(VAEError, match="empty: no images in this folder"):
        list(read_images([tmp_path / "empty"], GREY, Preprocess()))


def test_folders_idx_and_numpy_files_are_read(sample_folder: Path, test_images: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    Image.fromarray(test_images[0]).save(tmp_path / "a" / "b" / "x.png")
    np.save(tmp_path / "y.npy", test_images[:2])
    np.savez(tmp_path / "z.npz", images=test_images[:3], other=np.zeros(2))
    paths = [tmp_path / "a", tmp_path / "y.npy", tmp_path / "z.npz", sample_folder / "t10k-images-idx3-ubyte.gz"]
    named = list(read_images(paths, GREY, Preprocess()))
    assert len(named) == 1 + 2 + 3 + 300
    assert named[0].name == str(tmp_path / "a" / "b" / "x.png")
    np.testing.assert_array_equal(named[0].image, named[1].image)


def test_hidden_files_and_folders_named_like_pictures_are_passed_over(tmp_path: Path) -> None:
    Image.new("L", (28, 28)).save(tmp_path / "a.png")
    (tmp_path / "._a.png").write_bytes(b"AppleDouble")
    (tmp_path / "folder.png").mkdir()
    assert [Path(named.name).name for named in read_images([tmp_path], GREY, Preprocess())] == ["a.png"]


def test_an_idx_file_is_known_by_its_first_bytes(sample_folder: Path, tmp_path: Path) -> None:
    shutil.copy(sample_folder / "t10k-images-idx3-ubyte.gz", tmp_path / "digits")
    assert len(list(read_images([tmp_path / "digits"], GREY, Preprocess()))) == 300


def test_transparent_paper_under_dark_ink_is_white() -> None:
    drawing = Image.new("RGBA", (28, 28), (0, 0, 0, 0))
    drawing.putpixel((14, 14), (0, 0, 0, 255))
    image = prepare(drawing, GREY, Preprocess("contain", invert=True))
    assert (image.sum(), image[0, 14, 14]) == (1, 1)


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "evil.npy", np.array([print], dtype=object), allow_pickle=True)
    with pytest.raises(VAEError, match="evil.npy: not a readable numpy file: damaged, or it holds"):
        list(read_images([tmp_path / "evil.npy"], GREY, Preprocess()))


@given(hnp.arrays(np.uint8, st.tuples(st.integers(0, 3), st.just(28), st.just(28))))
def test_bytes_and_floats_are_the_same_images(array: np.ndarray) -> None:
    expected = check_images(array, GREY)
    assert expected.shape == (len(array), 1, 28, 28)
    np.testing.assert_array_equal(check_images(array.astype(np.float32) / np.float32(255), GREY), expected)
    np.testing.assert_array_equal(check_images(array[:, None], GREY), expected)


@given(hnp.arrays(np.float64, hnp.array_shapes(max_dims=4, max_side=4), elements=st.floats()))
def test_any_array_is_taken_or_refused_with_a_value_error(array: np.ndarray) -> None:
    try:
        image = check_images(array, (1, 2, 3))
    except ValueError:
        return
    assert image.shape[1:] == (1, 2, 3)
    assert np.isfinite(image).all()


@given(st.floats(width=32), st.sampled_from([np.float32, np.float64, np.float16]))
@example(-0.0, np.float32)
@example(np.nextafter(np.float32(1), np.float32(2)).item(), np.float32)
@example(-1e-45, np.float32)
def test_a_value_is_taken_exactly_if_it_lies_in_0_to_1(value: float, dtype: type[np.floating]) -> None:
    image = np.full((1, 28, 28), 0.5, dtype)
    with np.errstate(over="ignore"):
        image[0, 3, 4] = value
    if 0 <= image[0, 3, 4] <= 1:
        np.testing.assert_array_equal(check_images(image, GREY)[0, 0], image[0].astype(np.float32))
    else:
        with pytest.raises(ValueError, match="must lie in"):
            check_images(image, GREY)


@pytest.mark.parametrize("dtype", [np.int64, object, "U3", bool])
def test_other_dtypes_are_type_errors(dtype: object) -> None:
    with pytest.raises(TypeError, match="floating point in"):
        check_images(np.zeros((1, 28, 28)).astype(dtype), GREY)  # type: ignore[call-overload]
