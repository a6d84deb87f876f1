"""Real images and real, briefly trained checkpoints for the exporter's tests."""

import functools
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from torch.onnx._internal.exporter._registration import ONNXRegistry

from vae_export import export_checkpoint
from vae_runtime.arrays import UInt8
from vae_runtime.formats.idx import read_idx
from vae_train.cli import train_command


@pytest.fixture(scope="session", autouse=True)
def torchs_operators() -> Iterator[None]:
    """Build torch's table of what each of its operators is in ONNX once: torch builds it for each
    graph anew, which is half the time of exporting a small one.
    """
    build = functools.cache(ONNXRegistry.from_torchlib)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(build))
        yield


@pytest.fixture(scope="session")
def digits(mnist_folder: Path) -> UInt8:
    """256 test images, (N, 1, 28, 28)."""
    return read_idx(mnist_folder / "t10k-images-idx3-ubyte.gz")[:256, None]


@pytest.fixture(scope="session")
def digit_labels(mnist_folder: Path) -> UInt8:
    """Their labels, (N,)."""
    return read_idx(mnist_folder / "t10k-labels-idx1-ubyte.gz")[:256]


@pytest.fixture(scope="session")
def checkpoint(sample_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """model.pt after one epoch on 600 images."""
    return _train(sample_folder, tmp_path_factory.mktemp("default"), "default")


@pytest.fixture(scope="session")
def book_checkpoint(sample_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with preset book, whose standard deviation is exp(z_log_var)."""
    return _train(sample_folder, tmp_path_factory.mktemp("book"), "book")


@pytest.fixture(scope="session")
def exported(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of `checkpoint`."""
    target, _ = export_checkpoint(checkpoint, tmp_path_factory.mktemp("bundle") / "digits.vae")
    return target


def _train(data: Path, folder: Path, preset: str) -> Path:
    arguments = f"--data {data} --preset {preset} --epochs 1 --limit 600 -o {folder}"
    result = CliRunner().invoke(train_command, arguments.split())
    assert result.exit_code == 0, result.output
    return folder / "model.pt"
