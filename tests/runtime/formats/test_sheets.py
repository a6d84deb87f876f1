"""Sheets of tiles."""

import numpy as np
import pytest

from vae_runtime.formats.sheets import sheet


def test_tiles_fill_rows_and_gaps_are_black() -> None:
    tiles = np.ones((3, 1, 2, 2), np.float32)
    expected = [
        [255, 255, 0, 255, 255],
        [255, 255, 0, 255, 255],
        [0, 0, 0, 0, 0],
        [255, 255, 0, 0, 0],
        [255, 255, 0, 0, 0],
    ]
    assert sheet(tiles, gap=1).tolist() == expected


def test_every_pixel_becomes_a_square_of_the_scale() -> None:
    tile = np.array([[[[0.0, 1.0]]]], np.float32)
    assert sheet(tile, scale=2).tolist() == [[0, 0, 255, 255], [0, 0, 255, 255]]


def test_three_channels_become_rgb() -> None:
    tile = np.zeros((1, 3, 1, 1), np.float32)
    tile[0, 1] = 1
    assert sheet(tile).tolist() == [[[0, 255, 0]]]


@pytest.mark.parametrize(
    ("shape", "reason"), [((0, 1, 2, 2), "no images"), ((1, 2, 2, 2), "2 channels")]
)
def test_what_cannot_be_shown_is_a_value_error(shape: tuple[int, ...], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        sheet(np.zeros(shape, np.float32))


def test_a_single_image_is_a_sheet_of_one() -> None:
    image = np.array([[[0.0, 1.0]]], np.float32)
    assert sheet(image).tolist() == [[0, 255]]
