"""A short run of `python -m tests.load`."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.slow
def test_nothing_is_left_behind_by_much_use() -> None:
    command = [
        sys.executable,
        "-m",
        "tests.load",
        "--seconds",
        "1",
        "--loads",
        "30",
        "--forks",
        "1",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
