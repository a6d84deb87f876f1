"""The pictures that a run leaves beside its checkpoint, and the folder for them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from vae_runtime.arrays import Float32, Float64, UInt8
from vae_runtime.charts import save_gif, scatter, with_axes
from vae_runtime.formats.files import atomic_file, make_folder
from vae_runtime.formats.png import save_png
from vae_runtime.formats.sheets import Pixels, sheet
from vae_runtime.latent import places
from vae_train.evaluation import encode
from vae_train.history import HISTORY_FILE
from vae_train.loop import Trainer
from vae_train.loss_chart import loss_chart
from vae_train.summary import heldout_name

# One grid per epoch, the frames of learning.gif.
GRIDS_FOLDER = "grids"
GRID_SIDE = 15
MAX_SCATTER_POINTS = 10_000
# Test images whose z_mean tell which latent dimensions are active.
ACTIVITY_IMAGES = 1000
FRAMES_PER_SECOND = 4
MAX_FRAMES = 60
MAX_FRAME_PIXELS = 840
LAST_FRAME_REPEATS = 8
# Tiles of samples.png and of reconstructions.png, and the width they are enlarged to.
SHEET_COLUMNS = 8
SHEET_ROWS = 8
SHEET_PIXELS = 640
# Between samples, and between an image with its reconstruction and the next one.
GAP = 1
PAIR_GAP = 6
CAPTION_HEIGHT = 24
CAPTION_SIZE = 14


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
    save_png(grid_picture(trainer, active_axes(trainer)), path)


def write_pictures(trainer: Trainer, folder: Path) -> None:
    """Write everything that shows a run that has ended.

    learning.gif, losses.png, samples.png, reconstructions.png, grid.png and, from two latent
    dimensions on, latents.png.
    """
    axes = active_axes(trainer)
    _write_animation(trainer, folder)
    if trainer.history:
        chart = loss_chart(trainer.history, heldout_name(trainer.config))
        save_png(chart, folder / "losses.png")
    save_png(samples_picture(trainer), folder / "samples.png")
    save_png(reconstructions_picture(trainer), folder / "reconstructions.png")
    save_png(grid_picture(trainer, axes), folder / "grid.png")
    if trainer.config.latent_dim > 1:
        save_png(latents_picture(trainer, axes), folder / "latents.png")


def active_axes(trainer: Trainer) -> tuple[int, int]:
    """The two latent dimensions whose z_mean varies most over test images, in rising order."""
    if trainer.config.latent_dim <= 2:
        return 0, 1
    z_mean, _ = encode(trainer.model, trainer.config.sampling, _test_images(trainer))
    most_active = np.argsort(-z_mean.var(0), kind="stable")[:2]
    first, second = sorted(most_active.tolist())
    return first, second


def grid_picture(trainer: Trainer, axes: tuple[int, int]) -> Pixels:
    """The book's grid: row i has z[axes[1]] = points[i], column j has z[axes[0]] = points[j].

    Every other latent is zero. Where there are others, the axes are named and numbered.
    """
    points = places.axis_points(GRID_SIDE)
    anchor = np.zeros(trainer.config.latent_dim)
    pixels = sheet(_decode(trainer, places.grid(points, points, axes, anchor)), GRID_SIDE)
    if trainer.config.latent_dim > 2:
        return with_axes(pixels, points.tolist(), points.tolist(), axes)
    return pixels


def latents_picture(trainer: Trainer, axes: tuple[int, int]) -> Pixels:
    """The test images' z_mean in two latent dimensions, colored by label."""
    test = trainer.data.test.first(MAX_SCATTER_POINTS)
    z_mean, _ = encode(trainer.model, trainer.config.sampling, test.images)
    names = np.array(trainer.data.label_names or [""])
    return scatter(z_mean[:, axes], names[test.labels], axes)


def samples_picture(trainer: Trainer) -> Pixels:
    """Images of 64 draws from the prior; the run's seed fixes them."""
    rng = np.random.default_rng(trainer.config.seed)
    z = rng.standard_normal((SHEET_ROWS * SHEET_COLUMNS, trainer.config.latent_dim))
    return _enlarged_sheet(_decode(trainer, z), SHEET_COLUMNS, GAP)


def reconstructions_picture(trainer: Trainer) -> Pixels:
    """The first test images, each with what is decoded from its z_mean to its right."""
    columns = SHEET_COLUMNS // 2
    images = _test_images(trainer)[: SHEET_ROWS * columns]
    z_mean, _ = encode(trainer.model, trainer.config.sampling, images)
    originals = images.astype(np.float32) / np.float32(255)
    pairs = np.concatenate([originals, _decode(trainer, z_mean)], axis=3)
    name = heldout_name(trainer.config)
    pixels = _enlarged_sheet(pairs, columns, PAIR_GAP)
    return captioned(pixels, f"left a {name} image, right its reconstruction")


def captioned(pixels: Pixels, text: str) -> Pixels:
    """A picture with a line of text below it, white on black."""
    picture = Image.fromarray(pixels)
    width, height = picture.size
    taller = Image.new(picture.mode, (width, height + CAPTION_HEIGHT))
    taller.paste(picture, (0, 0))
    white = 255 if picture.mode == "L" else (255, 255, 255)
    font = ImageFont.load_default(CAPTION_SIZE)
    place = (width / 2, height + CAPTION_HEIGHT / 2)
    ImageDraw.Draw(taller).text(place, text, fill=white, font=font, anchor="mm")
    return Pixels(np.asarray(taller))


def _enlarged_sheet(images: Float32, columns: int, gap: int) -> Pixels:
    scale = max(1, SHEET_PIXELS // (columns * images.shape[3]))
    return sheet(images, columns, scale=scale, gap=gap)


def _test_images(trainer: Trainer) -> UInt8:
    return trainer.data.test.first(ACTIVITY_IMAGES).images


@torch.no_grad()
def _decode(trainer: Trainer, z: Float64) -> Float32:
    """Latents (N, D) to images (N, C, H, W)."""
    latents = torch.from_numpy(z).float().to(trainer.device)
    images: Float32 = trainer.model.decoder(latents).cpu().numpy()
    return images


def _write_animation(trainer: Trainer, folder: Path) -> None:
    """The grids of all epochs that there are, the last one held for a while."""
    epochs = []
    for epoch in range(1, trainer.config.total_epochs + 1):
        if _grid_path(folder, epoch).is_file():
            epochs.append(epoch)
    if not epochs:
        return
    shown = epochs[:: math.ceil(len(epochs) / MAX_FRAMES)]
    shown += [epochs[-1]] * LAST_FRAME_REPEATS
    frames = [_frame(folder, epoch) for epoch in shown]
    save_gif(frames, folder / "learning.gif", fps=FRAMES_PER_SECOND)


def _grid_path(folder: Path, epoch: int) -> Path:
    return folder / GRIDS_FOLDER / f"{epoch:03d}.png"


def _frame(folder: Path, epoch: int) -> Float32:
    """A stored grid (3, H, W) in [0, 1], reduced to at most 840 pixels, with its epoch below."""
    with Image.open(_grid_path(folder, epoch)) as image_file:
        factor = math.ceil(image_file.width / MAX_FRAME_PIXELS)
        small = image_file.convert("RGB").reduce(factor)
    pixels = captioned(Pixels(np.asarray(small)), f"epoch {epoch}")
    return pixels.astype(np.float32).transpose(2, 0, 1) / np.float32(255)
