"""What a run leaves beside its checkpoint: history.csv and pictures."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from vae_runtime import latent_space
from vae_runtime.errors import VAEError
from vae_runtime.files import atomic_file
from vae_runtime.pictures import line_chart, save_gif, save_png, scatter, sheet
from vae_train.evaluation import encode
from vae_train.loop import Trainer

COLUMNS = ("epoch", "train_reconstruction", "train_kl", "test_reconstruction", "test_kl", "test_elbo", "seconds")
SCATTERED = 10_000
FRAMES = "grids"
HELD = 8  # frames


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
    """history.csv: one row per epoch, losses in nats per image and the wall-clock seconds."""

    def __init__(self, path: Path, epochs_done: int) -> None:
        self.path = path
        rows = []
        if epochs_done and path.is_file():
            with path.open(newline="") as file:
                rows = list(csv.DictReader(file))
        self.rows = [row for row in rows if int(row["epoch"]) <= epochs_done]

    def append(self, values: dict[str, float], seconds: float) -> None:
        self.rows.append({k: str(v) for k, v in values.items()} | {"seconds": f"{seconds:.1f}"})
        with atomic_file(self.path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(self.rows)


def write_epoch_grid(trainer: Trainer, folder: Path) -> None:
    """grids/NNN.png: the grid after the epoch that has just ended, a frame of learning.gif."""
    frames = folder / FRAMES
    frames.mkdir(exist_ok=True)
    save_png(sheet(_grid_images(trainer), 15), frames / f"{trainer.position.epoch:03d}.png")


def _write_animation(trainer: Trainer, folder: Path) -> None:
    """learning.gif: the grids of all epochs, the last one held for a while."""
    paths = [folder / FRAMES / f"{epoch:03d}.png" for epoch in range(1, trainer.config.epochs + 1)]
    frames = [np.asarray(Image.open(path).convert("RGB")) for path in paths if path.is_file()]
    if frames:
        images = np.stack(frames + frames[-1:] * HELD).transpose(0, 3, 1, 2) / np.float32(255)
        save_gif(images, folder / "learning.gif", fps=4)


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
