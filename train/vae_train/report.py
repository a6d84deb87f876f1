"""The charts and grids that a run leaves beside its checkpoint, and the folder for them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from vae_runtime.arrays import Float32
from vae_runtime.charts import line_chart, save_gif, scatter
from vae_runtime.formats.files import atomic_file, make_folder
from vae_runtime.formats.png import save_png
from vae_runtime.formats.sheets import sheet
from vae_runtime.latent import places
from vae_train.evaluation import encode
from vae_train.loop import Trainer

HISTORY_FILE = "history.csv"
# One grid per epoch, the frames of learning.gif.
GRIDS_FOLDER = "grids"
GRID_SIDE = 15
MAX_SCATTER_POINTS = 10_000
FRAMES_PER_SECOND = 4
MAX_FRAMES = 60
MAX_FRAME_PIXELS = 840
LAST_FRAME_REPEATS = 8


def prepare_folder(folder: Path) -> None:
    """Make the output folder and prove that it can be written, before hours of training."""
    make_folder(folder)
    probe = folder / HISTORY_FILE
    content = probe.read_bytes() if probe.is_file() else b""
    with atomic_file(probe) as temporary:
        temporary.write_bytes(content)


def write_epoch_grid(trainer: Trainer, folder: Path) -> None:
    """grids/NNN.png: the grid after the epoch that has just ended, a frame of learning.gif."""
    path = _grid_path(folder, trainer.position.epoch)
    path.parent.mkdir(exist_ok=True)
    _write_grid(trainer, path)


def write_charts(trainer: Trainer, folder: Path) -> None:
    """Write learning.gif, losses.png, grid.png and, from two latent dimensions on, latents.png."""
    _write_animation(trainer, folder)
    _write_losses(trainer, folder / "losses.png")
    _write_grid(trainer, folder / "grid.png")
    if trainer.config.latent_dim > 1:
        _write_latents(trainer, folder / "latents.png")


def _write_animation(trainer: Trainer, folder: Path) -> None:
    """The grids of all epochs that there are, the last one held for a while."""
    paths = []
    for epoch in range(1, trainer.config.epochs + 1):
        path = _grid_path(folder, epoch)
        if path.is_file():
            paths.append(path)
    if not paths:
        return
    shown = paths[:: math.ceil(len(paths) / MAX_FRAMES)]
    shown += [paths[-1]] * LAST_FRAME_REPEATS
    save_gif(map(_frame, shown), folder / "learning.gif", fps=FRAMES_PER_SECOND)


def _grid_path(folder: Path, epoch: int) -> Path:
    return folder / GRIDS_FOLDER / f"{epoch:03d}.png"


def _frame(path: Path) -> Float32:
    """A stored grid (3, H, W) in [0, 1], reduced to at most 840 pixels."""
    with Image.open(path) as image_file:
        factor = math.ceil(image_file.width / MAX_FRAME_PIXELS)
        small = image_file.convert("RGB").reduce(factor)
    return np.asarray(small, np.float32).transpose(2, 0, 1) / np.float32(255)


def _write_losses(trainer: Trainer, path: Path) -> None:
    """Both losses together over the epochs, of training and test images."""
    losses = {"training": _total_losses(trainer, "train"), "test": _total_losses(trainer, "test")}
    chart = line_chart(
        losses, title="Reconstruction + KL", x_label="epoch", y_label="nats per image"
    )
    save_png(chart, path)


def _total_losses(trainer: Trainer, split: str) -> list[float]:
    return [row[f"{split}_reconstruction"] + row[f"{split}_kl"] for row in trainer.history]


def _write_grid(trainer: Trainer, path: Path) -> None:
    save_png(sheet(_grid_images(trainer), GRID_SIDE), path)


@torch.no_grad()
def _grid_images(trainer: Trainer) -> Float32:
    """The book's grid, (225, C, H, W): row i has z[1] = points[i], column j has z[0] = points[j].

    Every other latent is zero.
    """
    points = places.axis_points(GRID_SIDE)
    anchor = np.zeros(trainer.config.latent_dim)
    z = torch.from_numpy(places.grid(points, points, (0, 1), anchor)).float()
    images: Float32 = trainer.model.decoder(z.to(trainer.device)).cpu().numpy()
    return images


def _write_latents(trainer: Trainer, path: Path) -> None:
    """The test images' z_mean in the first two dimensions, colored by label."""
    test = trainer.data.test.first(MAX_SCATTER_POINTS)
    z_mean, _ = encode(trainer.model, trainer.config.sampling, test.images)
    names = np.array(trainer.data.label_names or [""])
    save_png(scatter(z_mean[:, :2], names[test.labels]), path)
