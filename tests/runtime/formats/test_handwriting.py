"""A photograph of handwriting becomes what MNIST would have made of it."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from tests.photographs import photograph

from vae_runtime.bundle import Preprocess
from vae_runtime.formats.handwriting import as_mnist
from vae_runtime.formats.idx import read_idx
from vae_runtime.formats.images import read_image_bytes
from vae_runtime.formats.preprocess import prepare

GRAY = (1, 28, 28)
MNIST = Preprocess("mnist")


def nearest(images: np.ndarray, originals: np.ndarray) -> np.ndarray:
    """For each image the number of the original that it is most like."""
    centered = images - images.mean((1, 2), keepdims=True)
    others = originals - originals.mean((1, 2), keepdims=True)
    products = np.einsum("nij,mij->nm", centered, others)
    numbers: np.ndarray = (products / np.linalg.norm(others, axis=(1, 2))).argmax(1)
    return numbers


@pytest.mark.slow
def test_photographs_are_most_like_digits_of_the_kind_that_they_show(
    test_images: np.ndarray, sample_folder: Path
) -> None:
    rng = np.random.default_rng(0)
    originals = test_images.astype(np.float32) / 255
    files = [photograph(digit, rng) for digit in test_images[:60]]
    found = np.concatenate([read_image_bytes(file.jpeg, GRAY, MNIST) for file in files])
    labels = read_idx(sample_folder / "t10k-labels-idx1-ubyte.gz")
    assert np.mean(labels[nearest(found, originals)] == labels[:60]) >= 0.95


def test_what_is_in_mnists_form_goes_through_unchanged(test_images: np.ndarray) -> None:
    for digit in test_images:
        expected = digit.astype(np.float32) / np.float32(255)
        np.testing.assert_array_equal(prepare(Image.fromarray(digit), GRAY, MNIST)[0], expected)


def test_its_negative_becomes_the_original(test_images: np.ndarray) -> None:
    for digit in test_images[:50]:
        negative = Image.fromarray(255 - digit)
        expected = digit.astype(np.float32) / np.float32(255)
        np.testing.assert_allclose(prepare(negative, GRAY, MNIST)[0], expected, atol=1e-6)


@pytest.mark.parametrize("brightness", [0, 128, 255])
def test_an_empty_page_is_black(brightness: int) -> None:
    assert prepare(Image.new("L", (400, 300), brightness), GRAY, MNIST).max() == 0


@pytest.mark.parametrize("ink", [0, 255])
def test_a_transparent_drawing_is_seen_whatever_its_color(
    ink: int, test_images: np.ndarray
) -> None:
    opacity = Image.fromarray(test_images[0]).resize((280, 280))
    drawing = Image.new("LA", (280, 280), (ink, 0))
    drawing.putalpha(opacity)
    image = prepare(drawing, GRAY, MNIST)[0]
    # The box of this digit is scaled anew, so it moves by a pixel.
    correlation = np.corrcoef(image.ravel(), test_images[0].ravel())[0, 1]
    assert correlation > 0.75


def test_noise_is_no_handwriting_and_goes_in_as_it_is() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8)
    assert as_mnist(noise.astype(np.float32) / np.float32(255), (28, 28)) is None
    image = prepare(Image.fromarray(noise), GRAY, MNIST)[0]
    np.testing.assert_array_equal(image, noise.astype(np.float32) / np.float32(255))


def test_ruled_lines_are_not_ink(test_images: np.ndarray) -> None:
    pixels = 255 - np.asarray(Image.fromarray(test_images[0]).resize((200, 200)))
    page = np.full((300, 400), 240, np.uint8)
    page[::30] = 190
    page[50:250, 100:300] = np.minimum(page[50:250, 100:300], pixels)
    image = prepare(Image.fromarray(page), GRAY, MNIST)[0]
    assert np.corrcoef(image.ravel(), test_images[0].ravel())[0, 1] > 0.8


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40),
               elements=st.floats(0, 1, width=32)),
    st.sampled_from([None, True, False]),
)  # fmt: skip
def test_any_picture_becomes_an_image_in_0_to_1(gray: np.ndarray, dark_ink: bool | None) -> None:
    image = as_mnist(gray, (28, 28), dark_ink)
    if image is None:
        return
    assert image.shape == (28, 28)
    assert image.dtype == np.float32
    assert 0 <= image.min() <= image.max() <= 1
