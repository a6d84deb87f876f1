"""What is said before training begins."""

from dataclasses import replace

import numpy as np
import pytest

from vae_train.cli import start_report
from vae_train.config import PRESETS, TrainConfig
from vae_train.data import Dataset, Split, hold_out_validation
from vae_train.distributed import ProcessGroup
from vae_train.loop import Trainer


def test_it_tells_images_labels_networks_training_and_device(
    config: TrainConfig, data: Dataset
) -> None:
    lines = start_report.start_report(Trainer(config, data))
    assert [line.split()[0] for line in lines] == [
        "images", "labels", "networks", "training", "device",
    ]  # fmt: skip
    images, labels, networks, training, device = lines
    assert images.endswith(
        ": 200 training images and 200 test images (those of the t10k files), 28×28, gray"
    )
    assert labels.startswith("labels    10: 0 (")
    assert "reference with 2 latent dimensions; encoder 494,244 parameters, 18.7 M" in networks
    assert "decoder 56,385 parameters, 3.86 M multiply-accumulates" in networks
    assert training.endswith(
        "preset default: 2 epochs of 7 steps of 32 images, muon at 0.01, "
        "bernoulli likelihood, beta 1"
    )
    assert "cpu, " in device
    assert device.endswith(("thread", "threads"))


def test_the_epochs_of_each_phase_are_told(data: Dataset) -> None:
    trainer = Trainer(PRESETS["exact"], data)
    assert start_report.describe_training(trainer).startswith(
        "preset exact: 13 epochs (2 joint, 6 decoder, 5 encoder) of 4 steps of 64 images"
    )


def test_the_counts_of_labels_are_those_of_the_training_images() -> None:
    images = np.zeros((5, 1, 28, 28), np.uint8)
    train = Split(images, np.array([0, 0, 0, 2, 2]))
    data = Dataset(train, train.first(1), ("", "b", "c"))
    assert start_report.describe_labels(data) == "3: none (3), b (0), c (2)"
    assert start_report.describe_labels(replace(data, label_names=())) == "none"
    many = tuple(map(str, range(20)))
    assert start_report.describe_labels(replace(data, label_names=many)).endswith(
        "11 (0), and 8 more"
    )


def test_held_out_training_images_are_not_called_a_test(data: Dataset) -> None:
    validated = hold_out_validation(data, 50)
    config = replace(PRESETS["default"], validation=50)
    assert start_report.describe_images(validated, config).endswith(
        ": 150 training images and 50 validation images (the last training images), 28×28, gray"
    )


def test_a_resumed_run_says_where_it_stands(config: TrainConfig, data: Dataset) -> None:
    trainer = Trainer(config, data)
    trainer.position.epoch = 1
    trainer.position.step = 3
    assert start_report.start_report(trainer)[-1] == "resumed   after 1 epoch and 3 steps"


def test_several_processes_are_counted(config: TrainConfig, data: Dataset) -> None:
    trainer = Trainer(config, data)
    trainer.processes = ProcessGroup(0, 4)
    assert start_report.describe_device(trainer).endswith(" in each of 4 processes")


@pytest.mark.parametrize(
    ("channels", "likelihood", "expected"),
    [(3, "bernoulli", True), (3, "gaussian", False), (1, "bernoulli", False)],
)
def test_color_images_deserve_a_gaussian_likelihood(
    channels: int, likelihood: str, expected: bool
) -> None:
    values = PRESETS["default"].to_dict() | {"likelihood": likelihood}
    config = TrainConfig.from_dict(values | {"image_shape": [channels, 28, 28]})
    assert start_report.suits_gaussian(config) == expected
