"""Rows of Markdown tables."""

from __future__ import annotations

from collections.abc import Sequence


def row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def header(titles: Sequence[str]) -> str:
    """The first two lines of a table."""
    return f"{row(titles)}\n|{'---|' * len(titles)}"
