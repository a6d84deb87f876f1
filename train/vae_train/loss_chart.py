"""losses.png: the two losses over the epochs, one panel each, drawn with Pillow."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vae_runtime.charts import COLORS
from vae_runtime.formats.sheets import Pixels

# Sizes in pixels: a panel, and the margins around the frame in it.
PANEL_WIDTH, PANEL_HEIGHT = 560, 480
LEFT, TOP, RIGHT, BOTTOM = 72, 84, 20, 52
TEXT_SIZE = 14
TITLE_SIZE = 18
LINE_WIDTH = 3
DOT_RADIUS = 4
# Beyond it dots would hide the line.
MAX_DOTS = 50
MAX_TICKS = 10
GRID_LINE_COLOR = "#dddddd"
# The share of a panel's height that stays free above and below the data.
MARGIN_SHARE = 0.06

LOSSES = {"reconstruction": "Reconstruction", "kl": "KL divergence from the prior"}

Series = Mapping[str, Sequence[float]]
"""The values of each line over the epochs 1 … n, by the line's name."""


def loss_chart(history: Sequence[Mapping[str, float]], heldout: str) -> Pixels:
    """Both losses of a run's epochs, of training images and of those called `heldout`.

    `history` has at least one row with the columns of history.csv. The legend of a panel tells the
    last values.
    """
    picture = Image.new("RGB", (PANEL_WIDTH * len(LOSSES), PANEL_HEIGHT), "white")
    for i, (loss, title) in enumerate(LOSSES.items()):
        series = {
            "training": [row[f"train_{loss}"] for row in history],
            heldout: [row[f"test_{loss}"] for row in history],
        }
        picture.paste(draw_panel(title, series), (PANEL_WIDTH * i, 0))
    return Pixels(np.asarray(picture))


def draw_panel(title: str, series: Series) -> Image.Image:
    panel = _Panel(series)
    panel.draw_grid()
    for color, values in zip(COLORS, series.values(), strict=False):
        panel.draw_line(values, color)
    panel.draw_titles(title, series)
    return panel.picture


def round_ticks(low: float, high: float, smallest: float) -> list[float]:
    """At most eleven round values from `low` to `high`, at least `smallest` apart."""
    step = max(smallest, 10 ** math.floor(math.log10((high - low) / MAX_TICKS)))
    for factor in (1, 2, 5, 10):
        if (high - low) / (step * factor) <= MAX_TICKS:
            step *= factor
            break
    first = math.ceil(low / step)
    last = math.floor(high / step)
    return [i * step for i in range(first, last + 1)]


@dataclass(frozen=True)
class _Axis:
    """Maps values from `low` to `high` to pixels from `start` to `stop`."""

    low: float
    high: float
    start: int
    stop: int

    def pixel(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.stop - self.start)


class _Panel:
    """A white picture with a frame for lines over the epochs."""

    def __init__(self, series: Series) -> None:
        self.picture = Image.new("RGB", (PANEL_WIDTH, PANEL_HEIGHT), "white")
        self.draw = ImageDraw.Draw(self.picture)
        self.font = ImageFont.load_default(TEXT_SIZE)
        self.bottom = PANEL_HEIGHT - BOTTOM
        self.right = PANEL_WIDTH - RIGHT
        self.epochs = max(len(values) for values in series.values())
        low, high = _range(series)
        # A half at both ends, so that a single epoch stands in the middle.
        self.x = _Axis(0.5, self.epochs + 0.5, LEFT, self.right)
        self.y = _Axis(low, high, self.bottom, TOP)

    def draw_grid(self) -> None:
        for epoch in round_ticks(1, self.epochs + 0.5, smallest=1):
            self._write((self.x.pixel(epoch), self.bottom + 8), f"{epoch:g}", "ma")
        for value in round_ticks(self.y.low, self.y.high, smallest=0):
            y = self.y.pixel(value)
            self.draw.line((LEFT, y, self.right, y), fill=GRID_LINE_COLOR)
            self._write((LEFT - 8, y), f"{value:g}", "rm")
        self.draw.rectangle((LEFT, TOP, self.right, self.bottom), outline="black")

    def draw_line(self, values: Sequence[float], color: str) -> None:
        path = []
        for epoch, value in enumerate(values, 1):
            if math.isfinite(value):
                path.append((self.x.pixel(epoch), self.y.pixel(value)))
        self.draw.line(path, fill=color, width=LINE_WIDTH)
        if len(path) <= MAX_DOTS:
            for x, y in path:
                self._dot(x, y, color)

    def draw_titles(self, title: str, series: Series) -> None:
        """The title, below it the legend with the last values, and the name of the x axis."""
        middle = (LEFT + self.right) / 2
        self._write((middle, 12), title, "ma", TITLE_SIZE)
        self._write((middle, PANEL_HEIGHT - 20), "epoch", "ma")
        place = float(LEFT)
        for color, (name, values) in zip(COLORS, series.items(), strict=False):
            self._dot(place + DOT_RADIUS, TOP - 26, color)
            text = f"{name} {values[-1]:.2f}"
            self._write((place + 16, TOP - 26), text, "lm")
            place += 16 + self.font.getlength(text) + 28
        self._write((self.right, TOP - 26), "nats/image", "rm")

    def _dot(self, x: float, y: float, color: str) -> None:
        box = (x - DOT_RADIUS, y - DOT_RADIUS, x + DOT_RADIUS, y + DOT_RADIUS)
        self.draw.ellipse(box, fill=color)

    def _write(
        self, place: tuple[float, float], text: str, anchor: str, size: int = TEXT_SIZE
    ) -> None:
        """`anchor` says which point of the text lies at `place`, in Pillow's letters."""
        font = ImageFont.load_default(size)
        self.draw.text(place, text, fill="black", font=font, anchor=anchor)


def _range(series: Series) -> tuple[float, float]:
    """The lowest and the highest finite value, with some room."""
    values = []
    for line in series.values():
        values += [value for value in line if math.isfinite(value)]
    low = min(values, default=0.0)
    high = max(values, default=0.0)
    # Equal values have no range of their own.
    room = (high - low) * MARGIN_SHARE or max(1.0, abs(high) * MARGIN_SHARE)
    return low - room, high + room
