import os
from dataclasses import replace

import pytest

os.environ.setdefault("KERAS_BACKEND", "torch")

from vae_train.config import PRESETS, TrainConfig
from vae_train.data import Dataset, load_dataset


@pytest.fixture(scope="session")
def data(sample_folder) -> Dataset:
    return load_dataset(str(sample_folder), limit=200)


@pytest.fixture
def config() -> TrainConfig:
    """A run of 2 × 7 steps, the last of each epoch with fewer images."""
    return replace(PRESETS["default"], epochs=2, batch_size=32)
