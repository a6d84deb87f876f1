"""From an image of any size and mode to what an encoder takes, in training too.

EXIF rotation applied, transparency over black, 16-bit scaled to [0, 1], converted to the model's
channels, then fitted to the model's size.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import ExifTags, Image, ImageOps

from vae_runtime.arrays import Float32, ImageShape
from vae_runtime.bundle import Fit, Preprocess
from vae_runtime.formats.handwriting import as_mnist

MAX_UINT8 = np.float32(255)
MAX_UINT16 = np.float32(65535)
MIDDLE_GRAY = 128
TRANSPARENT_MODES = ("RGBA", "LA", "PA", "La", "RGBa")
# Values of EXIF's orientation in which rows are columns.
QUARTER_TURNS = (5, 6, 7, 8)

Size = tuple[int, int]
"""Height and width."""


def prepare(picture: Image.Image, shape: ImageShape, preprocess: Preprocess) -> Float32:
    """A Pillow image of any size and mode as (C, H, W) float32 in [0, 1], by the rules above.

    Raises ValueError for values that have no scale.
    """
    upright = ImageOps.exif_transpose(picture)
    if preprocess.fit == "mnist":
        return _handwriting(upright, shape, preprocess.invert)
    # What is transparent becomes black in the end.
    pixels = _pixels(upright, shape[0], background=255 if preprocess.invert else 0)
    if preprocess.invert:
        pixels = 1 - pixels
    fitted = FIT_FUNCTIONS[preprocess.fit](pixels, shape[1:])
    image: Float32 = np.clip(fitted, 0, 1)
    return image


def upright_size(picture: Image.Image) -> Size:
    """Height and width of a picture once it is turned as its EXIF data say."""
    width, height = picture.size
    is_turned = picture.getexif().get(ExifTags.Base.Orientation) in QUARTER_TURNS
    return (width, height) if is_turned else (height, width)


def contain(pixels: Float32, size: Size) -> Float32:
    """The whole picture (C, h, w) as large as it fits, in the middle of black."""
    scale = _largest_scale(pixels, size)
    inner = _scaled(pixels, scale, size)
    top = (size[0] - inner.shape[1]) // 2
    left = (size[1] - inner.shape[2]) // 2
    return _on_black(inner, size, top, left)


def crop(pixels: Float32, size: Size) -> Float32:
    """The largest middle part (C, h, w) of the right proportions."""
    _, height, width = pixels.shape
    scale = min(height / size[0], width / size[1])
    inner_height = _clamped(round(size[0] * scale), 1, height)
    inner_width = _clamped(round(size[1] * scale), 1, width)
    top = (height - inner_height) // 2
    left = (width - inner_width) // 2
    return stretch(pixels[:, top : top + inner_height, left : left + inner_width], size)


def stretch(pixels: Float32, size: Size) -> Float32:
    """The whole picture (C, h, w), its proportions changed where they differ."""
    if pixels.shape[1:] == size:
        return pixels
    height, width = size
    planes = []
    for plane in pixels:
        resized = Image.fromarray(plane).resize((width, height), Image.Resampling.BICUBIC)
        planes.append(np.asarray(resized, np.float32))
    return np.stack(planes)


# "mnist" isn't one of them: it looks at the whole picture, see `vae_runtime.formats.handwriting`.
FIT_FUNCTIONS: dict[Fit, Callable[[Float32, Size], Float32]] = {
    "contain": contain,
    "stretch": stretch,
    "crop": crop,
}


def _handwriting(picture: Image.Image, shape: ImageShape, is_dark_ink: bool) -> Float32:
    """Fit "mnist": the ink that is found in the picture; `is_dark_ink` or found out."""
    channels, height, width = shape
    gray = _pixels(picture, 1, background=_paper_under(picture))[0]
    image = as_mnist(gray, (height, width), dark_ink=True if is_dark_ink else None)
    if image is None:
        # What is no handwriting is shown to the model as it is, and scores as low as it should.
        shown = 1 - gray if is_dark_ink else gray
        image = np.clip(contain(shown[None], (height, width)), 0, 1)[0]
    return np.repeat(image[None], channels, 0)


def _paper_under(picture: Image.Image) -> int:
    """What to lay under a transparent drawing so that it can be seen, 0 or 255."""
    if not _is_transparent(picture):
        return 0
    values = np.asarray(picture.convert("LA"), np.float32)
    opacity = values[..., 1]
    total = float(opacity.sum())
    if not total:
        return 0
    brightness = float((values[..., 0] * opacity).sum()) / total
    return 255 if brightness < MIDDLE_GRAY else 0


def _is_transparent(picture: Image.Image) -> bool:
    return picture.mode in TRANSPARENT_MODES or "transparency" in picture.info


def _pixels(picture: Image.Image, channels: int, background: int) -> Float32:
    """(C, H, W) float32 in [0, 1], on a `background` of 0 … 255."""
    if picture.mode.startswith("I") or picture.mode == "F":
        return _deep_pixels(picture, channels)
    if _is_transparent(picture):
        rgba = picture.convert("RGBA")
        paper = Image.new("RGBA", rgba.size, (background, background, background, 255))
        picture = Image.alpha_composite(paper, rgba)
    if channels == 1:
        return np.asarray(picture.convert("L"), np.float32)[None] / MAX_UINT8
    values = np.asarray(picture.convert("RGB"), np.float32) / MAX_UINT8
    return np.ascontiguousarray(values.transpose(2, 0, 1))


def _deep_pixels(picture: Image.Image, channels: int) -> Float32:
    """The same for the modes of 16-bit integers, 32-bit integers and floats, which are gray."""
    values = np.asarray(picture, np.float32)
    if picture.mode != "F":
        values = values / MAX_UINT16
    if not (values.min() >= 0 and values.max() <= 1):
        raise ValueError(
            "its values lie outside the range of 16-bit integers, or of [0, 1] for floats"
        )
    return np.repeat(values[None], channels, 0)


def _largest_scale(pixels: Float32, size: tuple[float, float]) -> float:
    _, height, width = pixels.shape
    return float(min(size[0] / height, size[1] / width))


def _scaled(pixels: Float32, scale: float, limit: Size) -> Float32:
    """The picture scaled, to at least one pixel and at most `limit`."""
    _, height, width = pixels.shape
    scaled_height = _clamped(round(height * scale), 1, limit[0])
    scaled_width = _clamped(round(width * scale), 1, limit[1])
    return stretch(pixels, (scaled_height, scaled_width))


def _on_black(inner: Float32, size: Size, top: int, left: int) -> Float32:
    channels, height, width = inner.shape
    canvas = np.zeros((channels, *size), np.float32)
    canvas[:, top : top + height, left : left + width] = inner
    return canvas


def _clamped(value: int, low: int, high: int) -> int:
    return max(low, min(high, value))
