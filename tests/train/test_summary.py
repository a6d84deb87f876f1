from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vae_train.checkpoint import load_checkpoint
from vae_train.config import TrainConfig
from vae_train.data import Dataset, hold_out_validation
from vae_train.loop import Trainer, train
from vae_train.summary import embedded_count, embedded_images, training_summary


def test_what_was_held_out_of_the_training_images_is_not_called_a_test(
    config: TrainConfig, data: Dataset, tmp_path: Path
) -> None:
    validated = replace(config, epochs=1, validation=50)
    trainer = Trainer(validated, hold_out_validation(data, 50))
    train(trainer, tmp_path / "model.pt")
    assert "validation_elbo" in trainer.summary
    assert "test_elbo" not in trainer.summary


def test_only_a_finished_run_is_quoted_with_its_elbo(config: TrainConfig, data: Dataset) -> None:
    model = Trainer(config, data).model
    assert training_summary(config, model, data, epoch=1) == {"preset": "default", "epochs": 1}
    finished = training_summary(config, model, data, epoch=2)
    assert set(finished) == {"preset", "epochs", "test_elbo", "train_images"}
    assert finished["train_images"] == len(data.train.images)


def test_embedded_images_stay_within_eight_megabytes() -> None:
    assert embedded_count((1, 28, 28)) == 512
    assert 2 * embedded_count((3, 128, 128)) * 3 * 128 * 128 <= 8 << 20


def test_the_first_images_of_both_splits_are_embedded(data: Dataset) -> None:
    images = embedded_images(data)
    assert list(images) == ["train_images", "train_labels", "heldout_images", "heldout_labels"]
    np.testing.assert_array_equal(images["train_images"].numpy(), data.train.images)
    np.testing.assert_array_equal(images["heldout_labels"].numpy(), data.test.labels)


@pytest.mark.parametrize("labeled", [True, False])
def test_label_statistics_are_those_of_labeled_data(
    config: TrainConfig, data: Dataset, tmp_path: Path, labeled: bool
) -> None:
    chosen = data if labeled else replace(data, label_names=())
    Trainer(config, chosen).save(tmp_path / "model.pt")
    saved = load_checkpoint(tmp_path / "model.pt")
    assert set(saved.label_statistics) == set(chosen.label_names)
