"""A small data set and a short run of it."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from vae_train.config import PRESETS, TrainConfig
from vae_train.data import Dataset, load_dataset

os.environ.setdefault("KERAS_BACKEND", "torch")


@pytest.fixture(scope="session")
def data(sample_folder: Path) -> Dataset:
    return load_dataset(str(sample_folder), limit=200)


@pytest.fixture
def config() -> TrainConfig:
    """A run of 2 × 7 steps, the last of each epoch with fewer images."""
    return replace(PRESETS["default"], epochs=2, batch_size=32)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that converted data sets are kept in."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("VAE_EDGE_CACHE", str(folder))
    return folder
