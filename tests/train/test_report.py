"""The charts that a run leaves: which there are, and what they show."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vae_runtime.errors import VAEError
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
    report.write_charts(trainer, tmp_path)
    names = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")}
    assert names == {
        "grid.png",
        "grids/001.png",
        "grids/002.png",
        "latents.png",
        "learning.gif",
        "losses.png",
    }
    with Image.open(tmp_path / "grid.png") as grid:
        assert grid.size == (15 * 28, 15 * 28)
    with Image.open(tmp_path / "learning.gif") as animation:
        # Equal frames are stored as one that is shown for longer.
        assert animation.info["duration"] == (2 + report.LAST_FRAME_REPEATS) * 250


def test_one_latent_dimension_has_no_scatter(
    config: TrainConfig, data: Dataset, tmp_path: Path
) -> None:
    report.write_charts(Trainer(replace(config, latent_dim=1), data), tmp_path)
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


def test_preparing_the_folder_keeps_the_history_of_an_earlier_run(tmp_path: Path) -> None:
    (tmp_path / "history.csv").write_text("epoch\n1\n")
    report.prepare_folder(tmp_path)
    assert (tmp_path / "history.csv").read_text() == "epoch\n1\n"
    (tmp_path / "file").touch()
    with pytest.raises(VAEError, match="file/run: cannot be created"):
        report.prepare_folder(tmp_path / "file" / "run")
