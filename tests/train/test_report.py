"""The charts that a run leaves: which there are, and what they show."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vae_runtime.errors import VAEError
from vae_runtime.formats.sheets import Pixels
from vae_train import report
from vae_train.config import TrainConfig
from vae_train.data import Dataset
from vae_train.loop import Trainer


@pytest.fixture
def trainer(config: TrainConfig, data: Dataset) -> Trainer:
    """Untrained, with the history of two epochs."""
    trainer = Trainer(config, data)
    for epoch in (1, 2):
        losses = ("train_reconstruction", "train_kl", "test_reconstruction", "test_kl")
        trainer.history.append(dict.fromkeys(losses, 100.0 / epoch) | {"epoch": epoch})
    return trainer


def test_a_finished_run_has_all_charts_and_an_animation_of_its_epochs(
    trainer: Trainer, tmp_path: Path
) -> None:
    for epoch in (1, 2):
        trainer.position.epoch = epoch
        report.write_epoch_grid(trainer, tmp_path)
    report.write_pictures(trainer, tmp_path)
    names = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")}
    assert names == {
        "grid.png",
        "grids/001.png",
        "grids/002.png",
        "latents.png",
        "learning.gif",
        "losses.png",
        "reconstructions.png",
        "samples.png",
    }
    with Image.open(tmp_path / "grid.png") as grid:
        assert grid.size == (15 * 28, 15 * 28)
    with Image.open(tmp_path / "learning.gif") as animation:
        assert getattr(animation, "n_frames", 1) == 2
        durations = []
        for frame in (0, 1):
            animation.seek(frame)
            durations.append(animation.info["duration"])
        # The last one is shown for longer.
        assert durations == [250, (1 + report.LAST_FRAME_REPEATS) * 250]


def test_one_latent_dimension_has_no_scatter(
    config: TrainConfig, data: Dataset, tmp_path: Path
) -> None:
    report.write_pictures(Trainer(replace(config, latent_dim=1), data), tmp_path)
    assert not (tmp_path / "latents.png").exists()
    assert (tmp_path / "grid.png").is_file()


def test_the_grid_walks_the_first_latent_along_its_columns(
    trainer: Trainer, tmp_path: Path
) -> None:
    report.write_epoch_grid(trainer, tmp_path)
    with Image.open(tmp_path / "grids" / "000.png") as file:
        tiles = np.asarray(file).reshape(15, 28, 15, 28).swapaxes(1, 2)
    middle = tiles[7, 7]
    assert not np.array_equal(tiles[7, 0], middle)
    assert not np.array_equal(tiles[0, 7], middle)


@pytest.fixture
def many_latents(config: TrainConfig, data: Dataset) -> Trainer:
    """Five latent dimensions, of which 1 and 4 are used, 4 more than 1."""
    trainer = Trainer(replace(config, latent_dim=5), data)
    with torch.no_grad():
        weight = trainer.model.encoder.z_mean.weight
        weight[[0, 2, 3]] *= 0.01
        weight[4] *= 5
    return trainer


def test_of_many_latents_the_two_most_active_ones_are_shown(many_latents: Trainer) -> None:
    assert report.active_axes(many_latents) == (1, 4)


def test_of_two_latents_both_are_shown_in_their_order(trainer: Trainer) -> None:
    with torch.no_grad():
        trainer.model.encoder.z_mean.weight[0] *= 0
    assert report.active_axes(trainer) == (0, 1)


def test_a_grid_of_many_latents_walks_the_axes_it_names(many_latents: Trainer) -> None:
    axes = report.active_axes(many_latents)
    named = report.grid_picture(many_latents, axes)
    # Room for the names and numbers, to the left and below.
    assert named.shape[0] > 15 * 28 < named.shape[1]
    others = report.grid_picture(many_latents, (0, 2))
    assert not np.array_equal(named, others)


def test_samples_are_fixed_by_the_seed(trainer: Trainer, config: TrainConfig) -> None:
    first = report.samples_picture(trainer)
    assert np.array_equal(first, report.samples_picture(trainer))
    trainer.config = replace(config, seed=1)
    assert not np.array_equal(first, report.samples_picture(trainer))


def test_reconstructions_have_each_test_image_to_the_left_of_its_own(
    trainer: Trainer, data: Dataset
) -> None:
    picture = report.reconstructions_picture(trainer)
    scale = 640 // (4 * 56)
    for row, column in ((0, 0), (1, 3), (7, 2)):
        top = row * (28 + report.PAIR_GAP) * scale
        left = column * (56 + report.PAIR_GAP) * scale
        shown = picture[top : top + 28 * scale : scale, left : left + 56 * scale : scale]
        np.testing.assert_array_equal(shown[:, :28], data.test.images[row * 4 + column, 0])
        with torch.no_grad():
            image = torch.from_numpy(data.test.images[row * 4 + column].copy()).float() / 255
            z_mean, _ = trainer.model.encoder(image[None])
            expected = 255 * trainer.model.decoder(z_mean)[0, 0].numpy()
        np.testing.assert_allclose(shown[:, 28:], expected, atol=1)


def test_a_caption_is_written_below_the_picture() -> None:
    for shape in ((40, 300), (40, 300, 3)):
        captioned = report.captioned(Pixels(np.full(shape, 7, np.uint8)), "epoch 3")
        assert (captioned[:40] == 7).all()
        assert captioned[40:].any()


def test_preparing_the_folder_keeps_the_history_of_an_earlier_run(tmp_path: Path) -> None:
    (tmp_path / "history.csv").write_text("epoch\n1\n")
    report.prepare_folder(tmp_path)
    assert (tmp_path / "history.csv").read_text() == "epoch\n1\n"
    (tmp_path / "file").touch()
    with pytest.raises(VAEError, match="file/run: cannot be created"):
        report.prepare_folder(tmp_path / "file" / "run")
