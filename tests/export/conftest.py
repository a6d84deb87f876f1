"""Real images and a real, briefly trained checkpoint for the exporter's tests."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from vae_runtime.idx import read_idx
from vae_train.cli import train_command


@pytest.fixture(scope="session")
def digits(mnist_folder) -> np.ndarray:
    """256 test images, (N, 1, 28, 28) uint8."""
    return read_idx(mnist_folder / "t10k-images-idx3-ubyte.gz")[:256, None]


@pytest.fixture(scope="session")
def digit_labels(mnist_folder) -> np.ndarray:
    return read_idx(mnist_folder / "t10k-labels-idx1-ubyte.gz")[:256]


@pytest.fixture(scope="session")
def checkpoint(sample_folder, tmp_path_factory) -> Path:
    """model.pt after one epoch on 600 images."""
    return _train(sample_folder, tmp_path_factory.mktemp("default"), "default")


@pytest.fixture(scope="session")
def book_checkpoint(sample_folder, tmp_path_factory) -> Path:
    return _train(sample_folder, tmp_path_factory.mktemp("book"), "book")


def _train(data: Path, folder: Path, preset: str) -> Path:
    arguments = ["--data", str(data), "--preset", preset, "--epochs", "1", "--limit", "600", "-o", str(folder)]
    result = CliRunner().invoke(train_command, arguments)
    assert result.exit_code == 0, result.output
    return folder / "model.pt"
