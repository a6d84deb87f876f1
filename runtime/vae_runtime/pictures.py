"""Pictures that are drawn, with Pillow alone: scatters, line charts, animations, and the axes of a grid."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vae_runtime.files import atomic_file
from vae_runtime.png import Pixels, sheet

if TYPE_CHECKING:
    from PIL import ImageDraw, ImageFont

COLOURS = (
    "#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf",
)  # fmt: skip
WIDTH, HEIGHT = 800, 720
LEFT, TOP, RIGHT, BOTTOM = 70, 50, 690, 660


def save_gif(
    images: Iterable[NDArray[np.floating]], target: str | os.PathLike[str], *, scale: int = 1, fps: int = 12
) -> None:
    """Write images (C, H, W) in [0, 1] as a looping animation, whole or not at all."""
    frames = [Image.fromarray(sheet(image[None], scale=scale)) for image in images]
    with atomic_file(target) as temporary:
        frames[0].save(
            temporary, "GIF", save_all=True, append_images=frames[1:], duration=1000 // fps, loop=0, optimize=False
        )


def with_axes(pixels: Pixels, points: Sequence[float], axes: tuple[int, int]) -> Pixels:
    """A sheet of n×n tiles with the latent coordinates of its columns and rows, `points`, written beside it."""
    from PIL import ImageDraw

    tiles = Image.fromarray(pixels)
    margin, top, font = 46, 20, _font(11)
    picture = Image.new(tiles.mode, (tiles.width + margin, top + tiles.height + margin), 0)
    picture.paste(tiles, (margin, top))
    draw = ImageDraw.Draw(picture)
    ink = 255 if tiles.mode == "L" else (255, 255, 255)
    step = max(1, math.ceil(40 * len(points) / tiles.width))
    for i in range(0, len(points), step):
        x, y = ((i + 0.5) * side / len(points) for side in tiles.size)
        value = f"{round(points[i], 2) + 0.0:.2f}"  # without the minus of -0.00
        draw.text((margin + x, top + tiles.height + 6), value, fill=ink, font=font, anchor="ma")
        draw.text((margin - 4, top + y), value, fill=ink, font=font, anchor="rm")
    draw.text((margin + tiles.width / 2, picture.height - 4), f"z[{axes[0]}]", fill=ink, font=font, anchor="md")
    draw.text((margin - 4, top - 4), f"z[{axes[1]}]", fill=ink, font=font, anchor="rd")
    return np.asarray(picture)


def scatter(points: NDArray[np.floating], labels: NDArray[np.generic], axes: tuple[int, int] = (0, 1)) -> Pixels:
    """Points (N, 2) coloured by their label (N,), with axes and, for more than one label, a legend."""
    names = sorted({str(label) for label in labels}, key=lambda s: (len(s), s))
    picture, draw = _canvas()
    reach = float(np.abs(points).max()) * 1.05 if len(points) else 1.0
    x_of, y_of = _axes(draw, (-reach, reach), (-reach, reach), f"z[{axes[0]}]", f"z[{axes[1]}]")
    colour = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names)}
    for (x, y), label in zip(points.tolist(), labels, strict=True):
        px, py = x_of(x), y_of(y)
        draw.rectangle((px - 1, py - 1, px + 1, py + 1), fill=colour[str(label)])
    if len(names) > 1:
        _legend(draw, colour)
    return np.asarray(picture)


def line_chart(series: Mapping[str, Sequence[float]], *, title: str, x_label: str, y_label: str) -> Pixels:
    """One line per series over 1 … n, with axes and legend."""
    picture, draw = _canvas()
    values = [v for line in series.values() for v in line if math.isfinite(v)]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    margin = (high - low) * 0.05 or 1.0
    longest = max((len(line) for line in series.values()), default=1)
    x_of, y_of = _axes(draw, (1, max(2, longest)), (low - margin, high + margin), x_label, y_label)
    draw.text(((LEFT + RIGHT) / 2, TOP - 14), title, fill="black", font=_font(18), anchor="ms")
    colour = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(series)}
    for name, line in series.items():
        path = [(x_of(i + 1), y_of(v)) for i, v in enumerate(line) if math.isfinite(v)]
        draw.line(path, fill=colour[name], width=3)
        for x, y in path:
            draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=colour[name])
    _legend(draw, colour)
    return np.asarray(picture)


def _canvas() -> tuple[Image.Image, ImageDraw.ImageDraw]:
    from PIL import ImageDraw

    picture = Image.new("RGB", (WIDTH, HEIGHT), "white")
    return picture, ImageDraw.Draw(picture)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    from PIL import ImageFont

    return ImageFont.load_default(size)


class _Scale:
    """Maps data to pixels along one axis."""

    def __init__(self, data: tuple[float, float], pixels: tuple[int, int]) -> None:
        self.data, self.pixels = data, pixels

    def __call__(self, value: float) -> float:
        share = (value - self.data[0]) / (self.data[1] - self.data[0])
        return self.pixels[0] + share * (self.pixels[1] - self.pixels[0])

    def ticks(self) -> list[float]:
        """Round values, five to ten of them."""
        span = self.data[1] - self.data[0]
        step = 10 ** math.floor(math.log10(span / 5))
        step *= next(m for m in (1, 2, 5, 10) if span / (step * m) <= 10)
        first = math.ceil(self.data[0] / step)
        return [i * step for i in range(first, math.floor(self.data[1] / step) + 1)]


def _axes(
    draw: ImageDraw.ImageDraw, x: tuple[float, float], y: tuple[float, float], x_label: str, y_label: str
) -> tuple[_Scale, _Scale]:
    x_of, y_of = _Scale(x, (LEFT, RIGHT)), _Scale(y, (BOTTOM, TOP))
    font = _font(14)
    for value in x_of.ticks():
        draw.line((x_of(value), TOP, x_of(value), BOTTOM), fill="#dddddd")
        draw.text((x_of(value), BOTTOM + 6), f"{value:g}", fill="black", font=font, anchor="ma")
    for value in y_of.ticks():
        draw.line((LEFT, y_of(value), RIGHT, y_of(value)), fill="#dddddd")
        draw.text((LEFT - 8, y_of(value)), f"{value:g}", fill="black", font=font, anchor="rm")
    draw.rectangle((LEFT, TOP, RIGHT, BOTTOM), outline="black")
    draw.text(((LEFT + RIGHT) / 2, BOTTOM + 30), x_label, fill="black", font=font, anchor="ma")
    draw.text((LEFT - 60, TOP - 22), y_label, fill="black", font=font)
    return x_of, y_of


def _legend(draw: ImageDraw.ImageDraw, colours: Mapping[str, str]) -> None:
    for i, (name, colour) in enumerate(colours.items()):
        y = TOP + 22 * i
        draw.rectangle((RIGHT + 14, y + 3, RIGHT + 26, y + 15), fill=colour)
        draw.text((RIGHT + 34, y), name[:9], fill="black", font=_font(14))
