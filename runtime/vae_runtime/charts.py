"""Charts drawn with Pillow alone: scatters, line charts, animations, and the axes of a grid."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from vae_runtime.arrays import sorted_labels
from vae_runtime.formats.files import atomic_file
from vae_runtime.formats.sheets import Pixels, sheet

# Ten colors that can be told apart, matplotlib's "tab10".
COLORS = (
    "#1f77b4",
    "#ff7f0e",
    "#2ca02c",
    "#d62728",
    "#9467bd",
    "#8c564b",
    "#e377c2",
    "#7f7f7f",
    "#bcbd22",
    "#17becf",
)
# A chart's size, and the frame in it that data is drawn in; all in pixels.
WIDTH, HEIGHT = 800, 720
LEFT, TOP, RIGHT, BOTTOM = 70, 50, 690, 660
GRID_LINE_COLOR = "#dddddd"
TEXT_SIZE = 14
TITLE_SIZE = 18
LEGEND_LETTERS = 9
# Pixels from the middle of a point to its edges, where there are few and where there are many.
LARGE_RADIUS = 3
SMALL_RADIUS = 1
MAX_LARGE_POINTS = 500
LEGEND_LINE = 22

# Around a grid with axes, in pixels.
GRID_MARGIN = 46
GRID_TOP = 20
GRID_TEXT_SIZE = 11
GRID_TICK_DISTANCE = 40

MILLISECONDS_PER_SECOND = 1000
MAX_TICKS = 10


def save_gif(
    images: Iterable[NDArray[np.floating]],
    target: str | os.PathLike[str],
    *,
    scale: int = 1,
    fps: int = 12,
) -> None:
    """Write images (C, H, W) in [0, 1] as a looping animation, whole or not at all."""
    frames = [Image.fromarray(sheet(image[None], scale=scale)) for image in images]
    with atomic_file(target) as temporary:
        frames[0].save(
            temporary,
            "GIF",
            save_all=True,
            append_images=frames[1:],
            duration=MILLISECONDS_PER_SECOND // fps,
            loop=0,
            optimize=False,
        )


def with_axes(
    pixels: Pixels, columns: Sequence[float], rows: Sequence[float], axes: tuple[int, int]
) -> Pixels:
    """A sheet of n×n tiles with the latent coordinates of its `columns` and `rows`, n of each."""
    tiles = Image.fromarray(pixels)
    width = tiles.width + GRID_MARGIN
    height = GRID_TOP + tiles.height + GRID_MARGIN
    picture = Image.new(tiles.mode, (width, height), 0)
    picture.paste(tiles, (GRID_MARGIN, GRID_TOP))
    text = _Text(
        draw=ImageDraw.Draw(picture),
        color=255 if tiles.mode == "L" else (255, 255, 255),
        font=_font(GRID_TEXT_SIZE),
    )
    bottom = GRID_TOP + tiles.height
    step = max(1, math.ceil(GRID_TICK_DISTANCE * len(columns) / tiles.width))
    for i in range(0, len(columns), step):
        share = i + 0.5
        x = share * tiles.width / len(columns)
        y = share * tiles.height / len(rows)
        text.write((GRID_MARGIN + x, bottom + 6), _two_decimals(columns[i]), anchor="ma")
        text.write((GRID_MARGIN - 4, GRID_TOP + y), _two_decimals(rows[i]), anchor="rm")
    text.write((GRID_MARGIN + tiles.width / 2, height - 4), f"z[{axes[0]}]", anchor="md")
    text.write((GRID_MARGIN - 4, GRID_TOP - 4), f"z[{axes[1]}]", anchor="rd")
    return Pixels(np.asarray(picture))


def with_headings(pixels: Pixels, headings: Sequence[str]) -> Pixels:
    """A sheet with a word above each of its columns, of which there are as many as `headings`."""
    tiles = Image.fromarray(pixels)
    picture = Image.new(tiles.mode, (tiles.width, GRID_TOP + tiles.height), 0)
    picture.paste(tiles, (0, GRID_TOP))
    color = 255 if tiles.mode == "L" else (255, 255, 255)
    text = _Text(ImageDraw.Draw(picture), color, _font(GRID_TEXT_SIZE))
    column_width = tiles.width / len(headings)
    for i, heading in enumerate(headings):
        text.write((column_width * (i + 0.5), GRID_TOP - 4), heading, anchor="md")
    return Pixels(np.asarray(picture))


def scatter(
    points: NDArray[np.floating], labels: NDArray[np.generic], axes: tuple[int, int] = (0, 1)
) -> Pixels:
    """Points (N, 2) colored by their label (N,), with axes; a legend for several labels."""
    reach = float(np.abs(points).max()) * 1.05 if len(points) else 1.0
    chart = _Chart(x=(-reach, reach), y=(-reach, reach))
    chart.draw_axes(f"z[{axes[0]}]", f"z[{axes[1]}]")
    colors = _colors(sorted_labels(labels))
    radius = SMALL_RADIUS if len(points) > MAX_LARGE_POINTS else LARGE_RADIUS
    for (x, y), label in zip(points.tolist(), labels, strict=True):
        chart.draw_point(x, y, colors[str(label)], radius)
    if len(colors) > 1:
        chart.draw_legend(colors)
    return chart.pixels()


def line_chart(
    series: Mapping[str, Sequence[float]], *, title: str, x_label: str, y_label: str
) -> Pixels:
    """One line per series over 1 … n, with axes and legend; without values that aren't finite."""
    values = [value for line in series.values() for value in line if math.isfinite(value)]
    low = min(values, default=0.0)
    high = max(values, default=1.0)
    margin = (high - low) * 0.05 or 1.0
    longest = max((len(line) for line in series.values()), default=1)
    chart = _Chart(x=(1, max(2, longest)), y=(low - margin, high + margin))
    chart.draw_axes(x_label, y_label)
    chart.draw_title(title)
    colors = _colors(series)
    for name, line in series.items():
        chart.draw_line(line, colors[name])
    chart.draw_legend(colors)
    return chart.pixels()


class _Chart:
    """A white picture with a frame, onto which the ranges `x` and `y` of the data are mapped."""

    def __init__(self, x: tuple[float, float], y: tuple[float, float]) -> None:
        self.picture = Image.new("RGB", (WIDTH, HEIGHT), "white")
        self.draw = ImageDraw.Draw(self.picture)
        self.x = _Scale(x, (LEFT, RIGHT))
        self.y = _Scale(y, (BOTTOM, TOP))
        self.text = _Text(self.draw, "black", _font(TEXT_SIZE))

    def pixels(self) -> Pixels:
        return Pixels(np.asarray(self.picture))

    def draw_axes(self, x_label: str, y_label: str) -> None:
        for value in self.x.ticks():
            x = self.x.pixel(value)
            self.draw.line((x, TOP, x, BOTTOM), fill=GRID_LINE_COLOR)
            self.text.write((x, BOTTOM + 6), f"{value:g}", anchor="ma")
        for value in self.y.ticks():
            y = self.y.pixel(value)
            self.draw.line((LEFT, y, RIGHT, y), fill=GRID_LINE_COLOR)
            self.text.write((LEFT - 8, y), f"{value:g}", anchor="rm")
        self.draw.rectangle((LEFT, TOP, RIGHT, BOTTOM), outline="black")
        self.text.write(((LEFT + RIGHT) / 2, BOTTOM + 30), x_label, anchor="ma")
        self.text.write((LEFT - 60, TOP - 22), y_label)

    def draw_title(self, title: str) -> None:
        text = _Text(self.draw, "black", _font(TITLE_SIZE))
        text.write(((LEFT + RIGHT) / 2, TOP - 14), title, anchor="ms")

    def draw_point(self, x: float, y: float, color: str, radius: int) -> None:
        center_x = self.x.pixel(x)
        center_y = self.y.pixel(y)
        box = (center_x - radius, center_y - radius, center_x + radius, center_y + radius)
        self.draw.rectangle(box, fill=color)

    def draw_line(self, values: Sequence[float], color: str) -> None:
        path = []
        for i, value in enumerate(values, 1):
            if math.isfinite(value):
                path.append((self.x.pixel(i), self.y.pixel(value)))
        self.draw.line(path, fill=color, width=3)
        for x, y in path:
            self.draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=color)

    def draw_legend(self, colors: Mapping[str, str]) -> None:
        for i, (name, color) in enumerate(colors.items()):
            y = TOP + LEGEND_LINE * i
            self.draw.rectangle((RIGHT + 14, y + 3, RIGHT + 26, y + 15), fill=color)
            self.text.write((RIGHT + 34, y), name[:LEGEND_LETTERS])


@dataclass(frozen=True)
class _Scale:
    """Maps a range of data to a range of pixels along one axis."""

    data: tuple[float, float]
    pixels: tuple[int, int]

    def pixel(self, value: float) -> float:
        share = (value - self.data[0]) / (self.data[1] - self.data[0])
        return self.pixels[0] + share * (self.pixels[1] - self.pixels[0])

    def ticks(self) -> list[float]:
        """Round values, five to ten of them."""
        low, high = self.data
        span = high - low
        step = 10 ** math.floor(math.log10(span / 5))
        for factor in (1, 2, 5, 10):
            if span / (step * factor) <= MAX_TICKS:
                step *= factor
                break
        first = math.ceil(low / step)
        last = math.floor(high / step)
        return [i * step for i in range(first, last + 1)]


@dataclass(frozen=True)
class _Text:
    """Writes in one color and font."""

    draw: ImageDraw.ImageDraw
    color: Any
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont

    def write(self, place: tuple[float, float], text: str, anchor: str | None = None) -> None:
        """`anchor` says which point of the text lies at `place`, in Pillow's letters."""
        self.draw.text(place, text, fill=self.color, font=self.font, anchor=anchor)


def _two_decimals(value: float) -> str:
    # Adding zero takes the minus off -0.00.
    return f"{round(value, 2) + 0.0:.2f}"


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _colors(names: Iterable[str]) -> dict[str, str]:
    return {name: COLORS[i % len(COLORS)] for i, name in enumerate(names)}
