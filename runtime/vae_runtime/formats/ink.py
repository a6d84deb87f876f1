"""Find handwriting in a photograph: on any paper, under any light, of either polarity.

The paper's brightness is estimated around each pixel, so that uneven light, shadows and colored
paper drop out; ink is what is darker than its paper. A threshold separates the two, and the
drawing is the connected part with most ink, with the pieces that lie close to it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from vae_runtime.arrays import Float32, Mask, to_uint8
from vae_runtime.formats.blobs import Labels, connected_parts
from vae_runtime.formats.morphology import closed, dilated

# Pixels along the longer side: of the picture that is searched, and of the smaller copies of it
# that the paper, the polarity and the connected parts are found in.
SEARCH_SIDE = 512
PAPER_SIDE = 128
POLARITY_SIDE = 48
PARTS_SIDE = 128
# Windows that polarity is judged in, as shares of the longer side.
NARROW_WINDOW_SHARE = 0.25
WIDE_WINDOW_SHARE = 0.6
# A drawing fills its picture when it is larger than this share of it.
LARGE_DRAWING_SHARE = 0.6
# What is wider than this share of the longer side is paper, not a stroke. Wide windows see thick
# strokes whole, narrow ones are less troubled by shadows; they are tried in this order.
STROKE_SHARES = (0.25, 0.12, 0.06)
# The darkness just outside a drawing, as a share of the darkness inside: beyond it, it is a shadow.
MAX_HALO = 0.3
# Real photographs of digits reach 0.21, noise begins at 0.48.
MAX_HANDWRITING_HALO = 0.4
# Ink that is less dark than this, relative to its paper, is noise.
MIN_CONTRAST = 0.06
# The darkest paper whose brightness can be divided by.
MIN_PAPER = 8
# Levels of the histogram that a threshold is chosen from.
HISTOGRAM_BINS = 128
# How often a threshold is raised that lets ruled lines through.
MAX_RAISES = 4

# Pixels of SEARCH_SIDE in which a stroke fades into the paper.
SOFT_EDGE_PIXELS = 2
# Pixels of PARTS_SIDE over which parts of a drawing may be interrupted.
JOIN_PIXELS = 2
# Other parts belong to the drawing when they lie within this share of its size and hold at least
# this share of its ink, about as dark as its own.
MAX_GAP_SHARE = 0.35
MIN_PIECE_SHARE = 0.04
MIN_PIECE_DARKNESS = 0.6
# Of two candidates, one that reaches the picture's border must have this many times the other's
# ink.
BORDER_HANDICAP = 12.0


def find_drawing(gray: Float32, dark_ink: bool | None = None) -> Drawing | None:
    """The drawing in a picture; None where there is no mark at all.

    `gray` (H, W) in [0, 1]; `dark_ink` says whether ink is darker than its paper, None finds out.
    """
    picture = _reduced(Image.fromarray(to_uint8(gray)), SEARCH_SIDE)
    if dark_ink is not None:
        return _best(_drawings(picture, dark_ink))
    # Narrow windows are right under uneven light, wide ones where the drawing fills the picture.
    drawing = _best(_drawings(picture, has_dark_ink(picture, NARROW_WINDOW_SHARE)))
    if drawing is not None and drawing.is_sure and not _fills(drawing, picture):
        return drawing
    return _best(_drawings(picture, has_dark_ink(picture, WIDE_WINDOW_SHARE)))


def has_dark_ink(picture: Image.Image, window_share: float) -> bool:
    """Whether what stands out from its surroundings is darker than they are.

    The surroundings are a window as wide as `window_share` of the picture.
    """
    values = np.asarray(_reduced(picture, POLARITY_SIDE), np.float32)
    radius = max(1, round(window_share * POLARITY_SIDE / 2))
    # Cubes let the strokes, few but far from the paper, outweigh light and noise.
    return bool(((values - _local_medians(values, radius)) ** 3).sum() < 0)


@dataclass(frozen=True)
class Drawing:
    """Ink and how sure it is that it was drawn.

    `ink` (h, w) float32 is 1 where the pen wrote and 0 elsewhere, cropped, at most 512 pixels a
    side. `halo` is the darkness just outside of it as a share of its own: a shadow fades, a pen
    doesn't.
    """

    ink: Float32
    halo: float
    touches_border: bool

    @property
    def is_handwriting(self) -> bool:
        """False for noise, and for photographs of other things."""
        return self.halo <= MAX_HANDWRITING_HALO

    @property
    def is_sure(self) -> bool:
        return self.halo <= MAX_HALO and not self.touches_border


def _drawings(picture: Image.Image, dark_ink: bool) -> list[Drawing]:
    """What each width of strokes finds, up to the first that is sure."""
    if not dark_ink:
        picture = picture.point(lambda value: 255 - value)
    drawings = []
    for share in STROKE_SHARES:
        drawing = _drawing(_darkness(picture, share))
        if drawing is None:
            continue
        drawings.append(drawing)
        if drawing.is_sure:
            break
    return drawings


def _best(drawings: list[Drawing]) -> Drawing | None:
    """The last drawing where it is sure, else the one that fades least."""
    if not drawings:
        return None
    if drawings[-1].is_sure:
        return drawings[-1]
    return min(drawings, key=_halo)


def _fills(drawing: Drawing, picture: Image.Image) -> bool:
    """Whether a drawing is nearly as large as its picture."""
    return bool(max(drawing.ink.shape) > LARGE_DRAWING_SHARE * max(picture.size))


def _halo(drawing: Drawing) -> float:
    return drawing.halo


def _local_medians(values: Float32, radius: int) -> Float32:
    """The median of the (2 · radius + 1)² pixels around each."""
    padded = np.pad(values, radius, mode="symmetric")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (2 * radius + 1, 2 * radius + 1))
    medians: Float32 = np.median(windows.reshape(*values.shape, -1), axis=2)
    return medians


def _darkness(picture: Image.Image, stroke_share: float) -> Float32:
    """How much darker than its paper each pixel is, in [0, 1]: (paper - gray) / paper."""
    # A little blur takes the noise of the camera off.
    smooth = picture.filter(ImageFilter.GaussianBlur(max(picture.size) / SEARCH_SIDE))
    paper = np.asarray(_paper(picture, stroke_share), np.float32)
    darkness = (paper - np.asarray(smooth, np.float32)) / np.maximum(paper, MIN_PAPER)
    clipped: Float32 = np.clip(darkness, 0, 1)
    return clipped


def _paper(picture: Image.Image, stroke_share: float) -> Image.Image:
    """The picture without its strokes: a morphological closing (maximum, then minimum), blurred."""
    small = _reduced(picture, PAPER_SIDE).filter(ImageFilter.MedianFilter(3))
    radius = max(1, round(stroke_share * max(small.size) / 2))
    bright = Image.fromarray(closed(np.asarray(small), radius))
    even = bright.filter(ImageFilter.GaussianBlur(2 * radius / 3))
    return even.resize(picture.size, Image.Resampling.BICUBIC)


def _drawing(darkness: Float32) -> Drawing | None:
    """What was drawn, its strokes scaled to 1; None where there is no ink."""
    if darkness.max() < MIN_CONTRAST:
        return None
    threshold = max(MIN_CONTRAST, otsu_threshold(darkness))
    chosen = _main_drawing(darkness, darkness > threshold)
    for _ in range(MAX_RAISES):
        if chosen is None or not _spans_the_picture(chosen):
            break
        # Ruled lines cross the whole picture and are fainter than the pen.
        higher = otsu_threshold(darkness[darkness > threshold])
        if higher <= threshold:
            break
        threshold = higher
        chosen = _main_drawing(darkness, darkness > threshold)
    if chosen is None:
        return None
    full = float(np.quantile(darkness[chosen], 0.8))
    least = threshold / 2
    scaled = np.clip((darkness - least) / max(full - least, 1e-6), 0, 1)
    # The strokes' soft edges lie just outside the mask.
    ink: Float32 = np.where(dilated(chosen, SOFT_EDGE_PIXELS), scaled, 0).astype(np.float32)
    cropped = _cropped(ink)
    if cropped is None:
        return None
    return Drawing(cropped, _measured_halo(darkness, chosen), _touches_border(chosen))


def _measured_halo(darkness: Float32, drawing: Mask) -> float:
    outside = dilated(drawing, 3 * SOFT_EDGE_PIXELS) & ~dilated(drawing, 2 * SOFT_EDGE_PIXELS)
    if not outside.any():
        return 1.0
    return float(np.quantile(darkness[outside], 0.75) / np.median(darkness[drawing]))


def _touches_border(mask: Mask) -> bool:
    return bool(mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any())


def otsu_threshold(values: Float32) -> float:
    """The value in [0, 1] that separates two groups of `values` best.

    Otsu 1979, "A threshold selection method from gray-level histograms", equation 12.
    """
    counts, edges = np.histogram(values, HISTOGRAM_BINS, (0, 1))
    share = counts / counts.sum()
    centers = (edges[:-1] + edges[1:]) / 2
    weight = np.cumsum(share)
    moment = np.cumsum(share * centers)
    between = (moment[-1] * weight - moment) ** 2 / np.maximum(weight * (1 - weight), 1e-9)
    return float(edges[1:][between.argmax()])


def _main_drawing(darkness: Float32, mask: Mask) -> Mask | None:
    """The part of the mask with most ink and what belongs to it; None for an empty mask."""
    height, width = mask.shape
    small_mask = np.asarray(_reduced(_picture(mask), PARTS_SIDE)) > 255 // 4
    labels = connected_parts(dilated(small_mask, JOIN_PIXELS))
    if not labels.any():
        return None
    small_height, small_width = small_mask.shape
    ink_picture = Image.fromarray(np.where(mask, darkness, 0).astype(np.float32))
    small_ink = np.asarray(ink_picture.resize((small_width, small_height), Image.Resampling.BOX))
    joined = np.isin(labels, _labels_of_drawing(labels, small_ink, small_mask))
    chosen = _picture(joined).resize((width, height), Image.Resampling.NEAREST)
    drawing: Mask = (np.asarray(chosen) > 0) & mask
    return drawing if drawing.any() else None


def _labels_of_drawing(labels: Labels, ink: Float32, mask: Mask) -> list[int]:
    """The label of the main part, and of the pieces that lie close to it."""
    amounts = np.bincount(labels.ravel(), ink.ravel())
    amounts[0] = 0
    pixels = np.bincount(labels.ravel(), mask.ravel())
    darkness = amounts / np.maximum(pixels, 1)
    at_border = _labels_at_border(labels)
    main = _main_label(amounts, at_border)
    top, bottom, left, right = _box(labels == main)
    reach = MAX_GAP_SHARE * max(bottom - top, right - left)
    chosen = [main]
    for label in range(1, len(amounts)):
        is_piece = (
            label != main
            and label not in at_border
            and amounts[label] >= MIN_PIECE_SHARE * amounts[main]
            and darkness[label] >= MIN_PIECE_DARKNESS * darkness[main]
        )
        if not is_piece:
            continue
        other_top, other_bottom, other_left, other_right = _box(labels == label)
        gap_down = max(other_top - bottom, top - other_bottom)
        gap_across = max(other_left - right, left - other_right)
        if max(gap_down, gap_across) <= reach:
            chosen.append(label)
    return chosen


def _main_label(amounts: np.ndarray, at_border: set[int]) -> int:
    """The part with most ink; one that reaches the border is rather a shadow's edge or a line."""
    weights = amounts.copy()
    weights[sorted(at_border)] /= BORDER_HANDICAP
    return int(weights.argmax())


def _labels_at_border(labels: Labels) -> set[int]:
    edges = (labels[0], labels[-1], labels[:, 0], labels[:, -1])
    return set(np.unique(np.concatenate(edges)).tolist())


def _spans_the_picture(mask: Mask) -> bool:
    """Whether a part reaches two opposite borders."""
    height, width = mask.shape
    top, bottom, left, right = _box(mask)
    return (left <= 1 and right >= width - 2) or (top <= 1 and bottom >= height - 2)


def _box(mask: Mask) -> tuple[int, int, int, int]:
    """The first and last row, the first and last column that hold something."""
    rows = np.flatnonzero(mask.any(1))
    columns = np.flatnonzero(mask.any(0))
    return int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])


def _cropped(ink: Float32) -> Float32 | None:
    visible = ink > 0.2
    if not visible.any():
        return None
    top, bottom, left, right = _box(visible)
    return ink[top : bottom + 1, left : right + 1]


def _picture(mask: Mask) -> Image.Image:
    return Image.fromarray(mask.astype(np.uint8) * np.uint8(255))


def _reduced(picture: Image.Image, side: int) -> Image.Image:
    """The picture with its longer side at most `side`."""
    scale = min(1.0, side / max(picture.size))
    width = max(1, round(picture.width * scale))
    height = max(1, round(picture.height * scale))
    return picture.resize((width, height), Image.Resampling.BOX)
