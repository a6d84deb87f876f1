"""Charts: what is drawn lies where its axes say."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageSequence

from vae_runtime import charts
from vae_runtime.formats.sheets import Pixels

BLUE = (31, 119, 180)
ORANGE = (255, 127, 14)


def colored(pixels: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
    """Rows and columns (N, 2) of the pixels of a color, within the frame."""
    inside = pixels[charts.TOP : charts.BOTTOM, charts.LEFT : charts.RIGHT]
    return np.argwhere((inside == color).all(2))


def test_points_lie_where_the_axes_say_and_have_their_labels_color() -> None:
    points = np.array([[-1.0, 1.0], [1.0, -1.0]])
    pixels = charts.scatter(points, np.array(["a", "b"]))
    middle_row = (charts.BOTTOM - charts.TOP) / 2
    middle_column = (charts.RIGHT - charts.LEFT) / 2
    first = colored(pixels, BLUE).mean(0)
    second = colored(pixels, ORANGE).mean(0)
    assert first[0] < middle_row < second[0]
    assert first[1] < middle_column < second[1]


def test_a_falling_line_falls() -> None:
    pixels = charts.line_chart({"loss": [3.0, 2.0, 1.0]}, title="t", x_label="x", y_label="y")
    line = colored(pixels, BLUE)
    left = line[line[:, 1] < line[:, 1].mean()]
    right = line[line[:, 1] >= line[:, 1].mean()]
    assert left[:, 0].mean() < right[:, 0].mean()


def test_a_chart_without_values_is_drawn_all_the_same() -> None:
    empty = {"a": [float("nan")], "b": []}
    pixels = charts.line_chart(empty, title="t", x_label="x", y_label="y")
    assert pixels.shape == (charts.HEIGHT, charts.WIDTH, 3)
    assert charts.scatter(np.empty((0, 2)), np.empty(0, "U1")).shape == pixels.shape


def test_axes_are_written_beside_a_grid(tmp_path: Path) -> None:
    tiles = Pixels(np.full((60, 60), 255, np.uint8))
    pixels = charts.with_axes(tiles, [-1.0, 1.0], [1.0, -1.0], (0, 1))
    assert pixels.shape == (60 + charts.GRID_TOP + charts.GRID_MARGIN, 60 + charts.GRID_MARGIN)
    np.testing.assert_array_equal(
        pixels[charts.GRID_TOP : charts.GRID_TOP + 60, charts.GRID_MARGIN :], tiles
    )
    assert pixels[charts.GRID_TOP + 60 :].max() > 100


def test_an_animation_has_a_frame_per_image(tmp_path: Path) -> None:
    images = np.random.default_rng(0).random((4, 1, 8, 8), np.float32)
    charts.save_gif(images, tmp_path / "a.gif", scale=2, fps=10)
    with Image.open(tmp_path / "a.gif") as animation:
        assert len(list(ImageSequence.Iterator(animation))) == 4
        assert animation.size == (16, 16)
        assert animation.info["duration"] == 100


def test_headings_are_written_above_a_sheet() -> None:
    tiles = Pixels(np.full((40, 120), 7, np.uint8))
    pixels = charts.with_headings(tiles, ["image", "rebuilt"])
    assert pixels.shape == (40 + charts.GRID_TOP, 120)
    np.testing.assert_array_equal(pixels[charts.GRID_TOP :], tiles)
    left, right = np.split(pixels[: charts.GRID_TOP], 2, axis=1)
    assert left.max() > 100
    assert right.max() > 100
