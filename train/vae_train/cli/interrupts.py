"""Ctrl-C as a wish to stop, which the training loop grants after its current step."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import click

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def catch_interrupts(announce: bool) -> Iterator[Callable[[], bool]]:
    """Within the block, Ctrl-C, or torchrun's SIGTERM, only sets a flag.

    The yielded function returns it. A second signal ends the process at once. `announce` says on
    stderr that training will stop.
    """
    received: list[int] = []
    previous = {number: signal.getsignal(number) for number in SIGNALS}

    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)
        signal.signal(number, previous[signal.Signals(number)])
        if announce:
            click.echo("\nStopping after this step …", err=True)

    def interrupted() -> bool:
        return bool(received)

    for number in SIGNALS:
        signal.signal(number, note)
    try:
        yield interrupted
    finally:
        for number in SIGNALS:
            signal.signal(number, previous[number])
