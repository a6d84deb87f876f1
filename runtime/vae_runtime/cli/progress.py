"""The line on stderr that says how far a command is, once it takes over a second, on a terminal."""

from __future__ import annotations

import sys
import time

import click

SECONDS_OF_SILENCE = 1.0
ERASE_LINE = "\r\033[K"


class ProgressLine:
    """Shows how many images are done, or with `total` the share, until its block ends."""

    def __init__(self, total: int | None = None) -> None:
        self.total = total
        self.done = 0
        self._began = time.monotonic()
        self._shown = False

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown:
            click.echo(ERASE_LINE, err=True, nl=False)

    def advance(self, count: int) -> None:
        """Note `count` more images."""
        self.done += count
        if self.done == self.total or not sys.stderr.isatty():
            return
        if time.monotonic() - self._began > SECONDS_OF_SILENCE:
            click.echo(f"\r{self._text()}", err=True, nl=False)
            self._shown = True

    def _text(self) -> str:
        if self.total is None:
            return f"{self.done:,} images"
        return f"{self.done:,} of {self.total:,} images ({self.done / self.total:.0%})"
