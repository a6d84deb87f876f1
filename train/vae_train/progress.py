"""How far an epoch is: a bar on a terminal, elsewhere a line on stderr now and then."""

from __future__ import annotations

import sys
import time
from contextlib import AbstractContextManager

from tqdm import tqdm

STEPS_PER_BAR_UPDATE = 50
SECONDS_PER_LINE = 30


class EpochProgress(AbstractContextManager["EpochProgress"]):
    """Shows the steps of one epoch, of which `first` are done; nothing where `is_shown` is false.

    `title` is the epoch, such as "epoch 2/8".
    """

    def __init__(self, title: str, first: int, steps: int, is_shown: bool) -> None:
        self.title = title
        self.first = first
        self.steps = steps
        is_terminal = sys.stderr.isatty()
        self.writes_lines = is_shown and not is_terminal
        self.began = time.monotonic()
        self.last_line = self.began
        self.bar = tqdm(
            total=steps,
            initial=first,
            desc=title,
            disable=not (is_shown and is_terminal),
            leave=False,
        )

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def update(self, step: int, nats: float) -> None:
        """Show that `step` steps are done with a mean loss of `nats` per image."""
        if step % STEPS_PER_BAR_UPDATE == 0:
            self.bar.set_postfix_str(f"{nats:.1f} nats")
        self.bar.update()
        now = time.monotonic()
        if self.writes_lines and now - self.last_line >= SECONDS_PER_LINE:
            self.last_line = now
            self._write_line(step, nats, now - self.began)

    def _write_line(self, step: int, nats: float, seconds: float) -> None:
        steps_per_second = (step - self.first) / seconds
        left = (self.steps - step) / steps_per_second
        print(
            f"{self.title}  step {step} of {self.steps}  {nats:.1f} nats per image  "
            f"{steps_per_second:.2g} steps/s, {left:.0f} s left",
            file=sys.stderr,
            flush=True,
        )
