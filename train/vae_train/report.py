"""What a run leaves beside its checkpoint: history.csv and pictures."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from vae_runtime import latent_space
from vae_runtime.errors import VAEError
from vae_runtime.files import atomic_file
from vae_runtime.pictures import line_chart, save_gif, scatter
from vae_runtime.png import save_png, sheet
from vae_train.evaluation import encode
from vae_train.loop import Trainer

COLUMNS = ("epoch", "train_reconstruction", "train_kl", "test_reconstruction", "test_kl", "test_elbo", "seconds")
SCATTERED = 10_000
FRAMES = "grids"
HELD = 8  # frames
MOST_FRAMES, MOST_PIXELS = 60, 840  # of learning.gif


def prepare(folder: Path) -> None:
    """Make the output folder and prove that it can be written, before hours of training."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise VAEError(f"{folder}: cannot be created: {error.strerror}") from None
    probe = folder / "history.csv"
    with atomic_file(probe) as temporary:
        temporary.write_bytes(probe.read_bytes() if probe.is_file() else b"")


class History:
    """history.csv: one row per epoch, losses in nats per image and the wall-clock seconds (empty where unknown)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seconds: dict[int, str] = {}
        if path.is_file():
            with path.open(newline="") as file:
                self.seconds = {int(row["epoch"]): row["seconds"] for row in csv.DictReader(file)}

    def write(self, history: Sequence[Mapping[str, float]], seconds: float) -> None:
        """Every epoch of a run, whose last one took `seconds`."""
        self.seconds[len(history)] = f"{seconds:.1f}"
        with atomic_file(self.path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows({**row, "seconds": self.seconds.get(i, "")} for i, row in enumerate(history, 1))


def write_epoch_grid(trainer: Trainer, folder: Path) -> None:
    """grids/NNN.png: the grid after the epoch that has just ended, a frame of learning.gif."""
    frames = folder / FRAMES
    frames.mkdir(exist_ok=True)
    save_png(sheet(_grid_images(trainer), 15), frames / f"{trainer.position.epoch:03d}.png")


def _write_animation(trainer: Trainer, folder: Path) -> None:
    """learning.gif: the grids of all epochs, the last one held for a while."""
    paths = [folder / FRAMES / f"{epoch:03d}.png" for epoch in range(1, trainer.config.epochs + 1)]
    paths = [path for path in paths if path.is_file()]
    if paths:
        shown = paths[:: -(-len(paths) // MOST_FRAMES)]
        save_gif((_frame(path) for path in [*shown, *paths[-1:] * HELD]), folder / "learning.gif", fps=4)


def _frame(path: Path) -> NDArray[np.float32]:
    """A stored grid (3, H, W) in [0, 1], reduced to at most 840 pixels."""
    with Image.open(path) as picture:
        small = picture.convert("RGB").reduce(-(-picture.width // MOST_PIXELS))
    return np.asarray(small, np.float32).transpose(2, 0, 1) / np.float32(255)


def write_pictures(trainer: Trainer, folder: Path) -> None:
    """losses.png, grid.png (the book's 15×15, two axes), latents.png (test set's z_mean) and learning.gif."""
    _write_animation(trainer, folder)
    losses = {
        name: [row[f"{split}_reconstruction"] + row[f"{split}_kl"] for row in trainer.history]
        for name, split in (("training", "train"), ("test", "test"))
    }
    save_png(
        line_chart(losses, title="Reconstruction + KL", x_label="epoch", y_label="nats per image"),
        folder / "losses.png",
    )
    save_png(sheet(_grid_images(trainer), 15), folder / "grid.png")
    if trainer.config.latent_dim > 1:
        test = trainer.data.test.first(SCATTERED)
        z_mean, _ = encode(trainer.model, trainer.config.sampling, test.images)
        names = np.array(trainer.data.label_names or [""])
        save_png(scatter(z_mean[:, :2], names[test.labels]), folder / "latents.png")


@torch.no_grad()
def _grid_images(trainer: Trainer, n: int = 15) -> NDArray[np.float32]:
    """(n·n, C, H, W): row i has z[1] = axis[i], column j has z[0] = axis[j], as in the book; the rest is zero."""
    points = latent_space.axis_points(n)
    z = torch.from_numpy(latent_space.grid(points, points, (0, 1), np.zeros(trainer.config.latent_dim))).float()
    images: NDArray[np.float32] = trainer.model.decoder(z.to(trainer.device)).cpu().numpy()
    return images
