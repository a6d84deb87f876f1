"""Photographs of handwritten digits, rendered: papers, inks, lights, shadows, tilts, blur, noise,
JPEG.
"""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Color = tuple[int, int, int]
Picture = NDArray[np.float32]

WHITE: Color = (245, 245, 245)
BEIGE: Color = (225, 210, 180)
GRAY: Color = (150, 145, 140)
RECYCLED: Color = (190, 185, 175)
LINED: Color = (240, 240, 235)
DARK_INKS: tuple[Color, ...] = (
    (20, 20, 25),
    (30, 40, 130),
    (25, 25, 90),
    (130, 30, 35),
    (70, 70, 75),
    (20, 80, 40),
)
CHALKS: tuple[Color, ...] = ((235, 235, 235), (240, 230, 150))
LINE_COLORS: tuple[Color, ...] = ((120, 150, 210), (160, 160, 165), (210, 140, 140))
STYLES = ("white", "beige", "colored", "ruled", "squared", "board", "dim", "recycled")


@dataclass(frozen=True)
class Photograph:
    """A JPEG file and the style of its paper."""

    jpeg: bytes
    style: str


def photograph(digit: NDArray[np.uint8], rng: np.random.Generator) -> Photograph:
    """A digit (28, 28) of MNIST as somebody might have written and photographed it."""
    style = STYLES[rng.integers(len(STYLES))]
    width = int(rng.integers(300, 900))
    height = int(width * rng.uniform(0.7, 1.4))
    pen = _pen(digit, width, height, rng)
    page = _paper(style, width, height, rng)
    ink = np.array(_ink(style, rng), np.float32)
    page = page * (1 - pen[..., None] * 0.95) + ink * pen[..., None] * 0.95
    lit = page * _light(width, height, rng)[..., None]
    tint = np.array([rng.uniform(0.92, 1.08), 1, rng.uniform(0.85, 1.08)], np.float32)
    return Photograph(_camera(lit * tint, rng), style)


def _pen(digit: NDArray[np.uint8], width: int, height: int, rng: np.random.Generator) -> Picture:
    """Where the pen wrote, (height, width) in [0, 1]."""
    side = int(min(width, height) * rng.uniform(0.25, 0.8))
    strokes = Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC)
    strokes = strokes.filter(ImageFilter.GaussianBlur(side / 56))
    thin = 60 if rng.random() < 0.3 else 0
    strokes = strokes.point(lambda value: _sharpened(value, 90 + thin, 150 + thin))
    page = Image.new("L", (width, height), 0)
    left = int(rng.uniform(0.02, 0.98 - side / width) * width)
    top = int(rng.uniform(0.02, 0.98 - side / height) * height)
    page.paste(strokes, (left, top))
    tilted = page.rotate(rng.uniform(-10, 10), Image.Resampling.BICUBIC)
    pen = np.asarray(tilted, np.float32) / np.float32(255)
    if rng.random() < 0.5:
        pressure = np.clip(1 + 0.25 * _clouds(width, height, 40, rng), 0.5, 1)
        pen = pen * pressure.astype(np.float32)
    return pen


def _sharpened(value: int, low: int, high: int) -> int:
    return max(0, min(255, (value - low) * 255 // (high - low)))


def _paper(style: str, width: int, height: int, rng: np.random.Generator) -> Picture:
    """The empty page, (height, width, 3) in 0 … 255."""
    colors = {
        "white": WHITE,
        "beige": BEIGE,
        "colored": tuple(rng.integers(120, 250, 3)),
        "ruled": LINED,
        "squared": LINED,
        "board": tuple(rng.integers(15, 70, 3)),
        "dim": GRAY,
        "recycled": RECYCLED,
    }
    page = np.ones((height, width, 3), np.float32) * np.array(colors[style], np.float32)
    if style in ("ruled", "squared"):
        lines = _lines(style, width, height, rng)[..., None] * rng.uniform(0.3, 0.8)
        line_color = np.array(LINE_COLORS[rng.integers(len(LINE_COLORS))], np.float32)
        page = page * (1 - lines) + line_color * lines
    grain = _clouds(width, height, 60, rng)[..., None] * rng.uniform(0, 5)
    result: Picture = (page + grain).astype(np.float32)
    return result


def _lines(style: str, width: int, height: int, rng: np.random.Generator) -> Picture:
    picture = Image.new("L", (width, height), 0)
    draw = ImageDraw.Draw(picture)
    gap = int(height * rng.uniform(0.06, 0.15))
    thickness = max(1, int(width * 0.003))
    slope = rng.uniform(-0.06, 0.06) * width
    for place in range(-height, 2 * height, gap):
        draw.line((0, place, width, place + slope), fill=255, width=thickness)
        if style == "squared":
            tilt = slope * height / width
            draw.line((place, 0, place - tilt, height), fill=255, width=thickness)
    return np.asarray(picture.filter(ImageFilter.GaussianBlur(0.7)), np.float32) / np.float32(255)


def _ink(style: str, rng: np.random.Generator) -> Color:
    if style == "board":
        return CHALKS[rng.integers(len(CHALKS))]
    if style == "colored":
        return DARK_INKS[0]
    return DARK_INKS[rng.integers(len(DARK_INKS))]


def _light(width: int, height: int, rng: np.random.Generator) -> Picture:
    """Uneven light, darker towards the corners, and in one picture of three a soft shadow."""
    y = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(0, 1, width, dtype=np.float32)[None]
    angle = rng.uniform(0, 2 * np.pi)
    slope = np.cos(angle) * (x - 0.5) + np.sin(angle) * (y - 0.5) + 0.5
    light = 1 - rng.uniform(0, 0.5) * slope
    light = light * (1 - rng.uniform(0, 0.6) * ((x - 0.5) ** 2 + (y - 0.5) ** 2))
    if rng.random() < 0.35:
        angle = rng.uniform(0, 2 * np.pi)
        place = rng.uniform(0.2, 0.8)
        distance = np.cos(angle) * (x - place) + np.sin(angle) * (y - place)
        softness = rng.uniform(0.005, 0.04)
        shade = rng.uniform(0.2, 0.5) / (1 + np.exp(-np.clip(distance / softness, -50, 50)))
        light = light * (1 - shade)
    result: Picture = (light * rng.uniform(0.75, 1.1)).astype(np.float32)
    return result


def _camera(page: Picture, rng: np.random.Generator) -> bytes:
    """Out of focus, noisy, and a JPEG."""
    width = page.shape[1]
    sharp = Image.fromarray(np.clip(page, 0, 255).astype(np.uint8))
    blurred = sharp.filter(ImageFilter.GaussianBlur(rng.uniform(0, 0.004) * width))
    noise = rng.standard_normal(page.shape, np.float32) * rng.uniform(0, 12)
    noisy = np.clip(np.asarray(blurred, np.float32) + noise, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(noisy).save(file, "JPEG", quality=int(rng.integers(30, 95)))
    return file.getvalue()


def _clouds(width: int, height: int, cells: int, rng: np.random.Generator) -> Picture:
    """Smooth noise (height, width) of about unit size."""
    small = rng.standard_normal((cells, cells), np.float32)
    large = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(large, np.float32)
