"""What every test may need: the real images that the repository carries, and all of MNIST where it is at hand."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def sample_folder() -> Path:
    """1,000 training and 300 test images of MNIST, as four gzipped IDX files."""
    return ROOT / "tests" / "data" / "mnist"


@pytest.fixture(scope="session")
def mnist_folder(sample_folder: Path) -> Path:
    """All of MNIST where `../shared` is at hand, else the sample."""
    full = ROOT.parent / "shared" / "data" / "mnist"
    return full if full.is_dir() else sample_folder
