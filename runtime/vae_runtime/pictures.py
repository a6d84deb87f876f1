"""Pictures with Pillow alone: sheets of tiles, scatters and line charts, written as PNG."""

from __future__ import annotations

import math
import os
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vae_runtime.files import atomic_file

if TYPE_CHECKING:
    from PIL import ImageDraw, ImageFont

# Level 1 costs a third of the default's time; a sheet of digits is a fifth larger.
COMPRESSION = 1
COLOURS = (
    "#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf",
)  # fmt: skip
WIDTH, HEIGHT = 800, 720
LEFT, TOP, RIGHT, BOTTOM = 70, 50, 690, 660


def to_uint8(images: NDArray[np.floating]) -> NDArray[np.uint8]:
    """float in [0, 1] -> rounded to 0 … 255."""
    return np.asarray(np.rint(np.clip(images, 0, 1) * 255), np.uint8)


def to_picture(image: NDArray[np.floating]) -> Image.Image:
    """(C, H, W) in [0, 1], C 1 or 3 -> a grey or colour picture. Raises ValueError for other channels."""
    return _picture(to_uint8(image))


def _picture(pixels: NDArray[np.uint8]) -> Image.Image:
    if len(pixels) not in (1, 3):
        raise ValueError(f"an image of {len(pixels)} channels cannot be shown; 1 and 3 can")
    return Image.fromarray(pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0)))


def sheet(images: NDArray[np.floating], columns: int | None = None, *, scale: int = 1, gap: int = 0) -> Image.Image:
    """Tiles in rows on black, (N, C, H, W) in [0, 1]; `columns` None makes it as square as it gets.

    Each pixel becomes scale×scale, `gap` pixels lie between tiles. Raises ValueError without images.
    """
    n, channels, height, width = images.shape
    if not n:
        raise ValueError("there are no images to show")
    columns = min(n, columns or math.ceil(math.sqrt(n)))
    rows = math.ceil(n / columns)
    canvas = np.zeros((channels, rows * (height + gap) - gap, columns * (width + gap) - gap), np.uint8)
    for i, image in enumerate(images):
        y, x = i // columns * (height + gap), i % columns * (width + gap)
        canvas[:, y : y + height, x : x + width] = to_uint8(image)
    return _picture(canvas if scale == 1 else canvas.repeat(scale, 1).repeat(scale, 2))


def save_png(picture: Image.Image, target: str | os.PathLike[str] | BinaryIO) -> None:
    """Write a PNG, whole or not at all; the same picture gives the same bytes."""
    if isinstance(target, str | os.PathLike):
        with atomic_file(target) as temporary, Path(temporary).open("wb") as file:
            write_png(picture, file)
    else:
        write_png(picture, target)


def write_png(picture: Image.Image, file: BinaryIO) -> None:
    """Write a PNG to an open file: grey or RGB, 8 bits. Written here because Pillow's plugins take 10 ms to load."""
    pixels = np.asarray(picture if picture.mode == "L" else picture.convert("RGB"))
    rows = pixels.reshape(picture.height, -1)
    lines = np.insert(rows, 0, 0, axis=1)  # each row begins with its filter, 0: none
    header = struct.pack(">IIBBBBB", picture.width, picture.height, 8, 0 if picture.mode == "L" else 2, 0, 0, 0)
    file.write(b"\x89PNG\r\n\x1a\n")
    for kind, content in ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), COMPRESSION)), (b"IEND", b"")):
        file.write(struct.pack(">I", len(content)) + kind + content)
        file.write(struct.pack(">I", zlib.crc32(kind + content)))


def save_gif(
    images: Iterable[NDArray[np.floating]], target: str | os.PathLike[str], *, scale: int = 1, fps: int = 12
) -> None:
    """Write images (C, H, W) in [0, 1] as a looping animation, whole or not at all."""
    frames = [sheet(image[None], scale=scale) for image in images]
    with atomic_file(target) as temporary:
        frames[0].save(
            temporary, "GIF", save_all=True, append_images=frames[1:], duration=1000 // fps, loop=0, optimize=False
        )


def with_axes(tiles: Image.Image, points: Sequence[float], axes: tuple[int, int]) -> Image.Image:
    """A grid of equal tiles with the latent coordinates of its columns and rows written beside it."""
    from PIL import ImageDraw

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
    return picture


def scatter(points: NDArray[np.floating], labels: NDArray[np.generic], axes: tuple[int, int] = (0, 1)) -> Image.Image:
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
    return picture


def line_chart(series: Mapping[str, Sequence[float]], *, title: str, x_label: str, y_label: str) -> Image.Image:
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
    return picture


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
