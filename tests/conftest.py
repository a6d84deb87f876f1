"""What every test may need: the real images that the repository carries, and all of MNIST where it
is at hand.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# The networks of the tests are small, and two workers with two spinning threads each would wait for
# one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def sample_folder() -> Path:
    """1,000 training and 300 test images of MNIST, as four gzipped IDX files."""
    return ROOT / "tests" / "data" / "mnist"


@pytest.fixture(scope="session")
def mnist_folder(sample_folder: Path) -> Path:
    """All of MNIST where `../shared` is at hand, else the sample."""
    full = ROOT.parent / "shared" / "data" / "mnist"
    return full if full.is_dir() else sample_folder


@pytest.fixture
def one_line(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., tuple[int, str]]:
    """Run a console script's function in an empty folder, in this process, where it must fail with
    one line.

    Returns the exit status and that line. What a process costs is an import of torch, two seconds
    for each.
    """

    def run(main: Callable[[], None], *arguments: object) -> tuple[int, str]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["command", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        shown = capfd.readouterr()
        assert shown.out == ""
        assert shown.err.startswith("Error: ")
        assert shown.err.count("\n") == 1
        assert isinstance(ended.value.code, int)
        return ended.value.code, shown.err

    return run
