"""Any picture of handwriting brought to MNIST's form.

LeCun et al. 1998, "Gradient-based learning applied to document recognition", section III.A: light
ink on black, its box scaled to 20 of 28 pixels, its center of mass in the middle.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

from vae_runtime.arrays import Float32, to_uint8
from vae_runtime.formats.ink import find_drawing
from vae_runtime.formats.morphology import dilated

MNIST_SIDE = 28
MNIST_INK_SIDE = 20
# MNIST's pens are this share of the digit's size wide, or wider.
MIN_STROKE_SHARE = 0.09
# A picture whose paper and border are at least this dark is in MNIST's form.
MAX_BLACK = 0.1
# What counts as ink where strokes are measured.
HALF_INK = 0.5
FAINT_INK = 0.1

Size = tuple[int, int]
"""Height and width."""


def as_mnist(gray: Float32, size: Size, dark_ink: bool | None = None) -> Float32 | None:
    """A picture (h, w) in [0, 1] as an image of `size` in [0, 1], light ink on black.

    A picture that already is in this form stays as it is. `dark_ink` says that ink is darker than
    its paper (True) or lighter (False); None finds it out. Black for an empty page, None for
    marks that are no handwriting: noise, a photograph of something else.
    """
    if dark_ink is not True and _is_in_form(gray, size):
        return gray
    if dark_ink is not False and _is_in_form(1 - gray, size):
        return 1 - gray
    drawing = find_drawing(gray, dark_ink)
    if drawing is None:
        return np.zeros(size, np.float32)
    if not drawing.is_handwriting:
        return None
    target = (size[0] * MNIST_INK_SIDE / MNIST_SIDE, size[1] * MNIST_INK_SIDE / MNIST_SIDE)
    inner = _even_strokes(_scaled(_with_thick_strokes(drawing.ink), target))
    return _centered(inner, size)


def _is_in_form(gray: Float32, size: Size) -> bool:
    """Whether a picture is of the right size and black but for its ink."""
    if gray.shape != size:
        return False
    border = np.concatenate((gray[0], gray[-1], gray[:, 0], gray[:, -1]))
    return float(np.median(gray)) <= MAX_BLACK and float(np.median(border)) <= MAX_BLACK


def _with_thick_strokes(ink: Float32) -> Float32:
    """Strokes of a thin pen widened to those that MNIST was written with."""
    wanted = MIN_STROKE_SHARE * max(ink.shape)
    missing = round((wanted - _stroke_width(ink)) / 2)
    if missing < 1:
        return ink
    thick = dilated(np.pad(ink, missing), missing)
    smooth = Image.fromarray(to_uint8(thick)).filter(ImageFilter.GaussianBlur(missing / 2))
    return np.asarray(smooth, np.float32) / np.float32(255)


def _stroke_width(ink: Float32) -> float:
    """The mean width of the strokes in pixels: twice their area over the length of their
    outline.
    """
    inside = ink > HALF_INK
    # Outlines cross a grid's lines 4 / π times per pixel of their length (Cauchy and Crofton).
    crossings = int((inside[1:] != inside[:-1]).sum() + (inside[:, 1:] != inside[:, :-1]).sum())
    outline = max(1.0, crossings * np.pi / 4)
    return float(2 * inside.sum() / outline)


def _scaled(ink: Float32, target: tuple[float, float]) -> Float32:
    """The ink as large as it fits into `target`, height and width."""
    height, width = ink.shape
    scale = min(target[0] / height, target[1] / width)
    new_height = max(1, round(height * scale))
    new_width = max(1, round(width * scale))
    resized = Image.fromarray(ink).resize((new_width, new_height), Image.Resampling.BICUBIC)
    return np.asarray(resized, np.float32)


def _even_strokes(ink: Float32) -> Float32:
    """The ink with the middle of its strokes at 1."""
    strokes = ink[ink > FAINT_INK]
    if not len(strokes):
        return np.zeros_like(ink)
    full = float(np.quantile(strokes, 0.9))
    evened: Float32 = np.clip(ink / np.float32(full), 0, 1)
    return evened


def _centered(ink: Float32, size: Size) -> Float32:
    """The ink on black, its center of mass in the middle."""
    height, width = ink.shape
    total = float(ink.sum()) or 1.0
    center_y = float(ink.sum(1) @ np.arange(height)) / total
    center_x = float(ink.sum(0) @ np.arange(width)) / total
    top = min(max(round(size[0] / 2 - center_y), 0), size[0] - height)
    left = min(max(round(size[1] / 2 - center_x), 0), size[1] - width)
    canvas = np.zeros(size, np.float32)
    canvas[top : top + height, left : left + width] = ink
    return canvas
