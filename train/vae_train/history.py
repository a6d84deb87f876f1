"""history.csv: the losses of every epoch."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from vae_runtime.formats.files import atomic_file

HISTORY_FILE = "history.csv"
# The test_ columns are those of the held-out training images in a run with --validation.
COLUMNS = (
    "epoch",
    "train_reconstruction",
    "train_kl",
    "test_reconstruction",
    "test_kl",
    "test_elbo",
    "seconds",
)


class History:
    """The file: one row per epoch, losses in nats per image, and the wall-clock seconds.

    The seconds are empty where they are unknown: a checkpoint keeps everything else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seconds: dict[int, str] = {}
        if path.is_file():
            with path.open(newline="") as file:
                for row in csv.DictReader(file):
                    self.seconds[int(row["epoch"])] = row["seconds"]

    def write(self, history: Sequence[Mapping[str, float]], seconds: float) -> None:
        """Write every epoch of a run, whose last one took `seconds`."""
        self.seconds[len(history)] = f"{seconds:.1f}"
        with atomic_file(self.path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            for epoch, row in enumerate(history, 1):
                writer.writerow({**row, "seconds": self.seconds.get(epoch, "")})
