"""How commands end, whatever happens to them."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.runtime.helpers import Run


def test_sigterm_leaves_no_half_written_file(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "vae_runtime",
        "sample",
        "-n",
        "5000000",
        "--seed",
        "0",
        "-o",
        "many.npy",
    ]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        while not os.listdir(tmp_path):
            time.sleep(0.05)
        process.terminate()
        assert process.wait(60) == 143
    assert os.listdir(tmp_path) == []


def test_a_daemon_without_stdout_and_stderr_can_use_it(tmp_path: Path) -> None:
    command = f"{sys.executable} -m vae_runtime sample -n 2 --seed 0 -o a.png >&- 2>&-"
    assert subprocess.run(["bash", "-c", command], cwd=tmp_path).returncode == 0
    assert (tmp_path / "a.png").is_file()


@pytest.mark.slow
def test_too_little_memory_is_one_clear_line(tmp_path: Path) -> None:
    sample = "sample -n 10000 --scale 16 --seed 0 -o a.png"
    command = f"ulimit -v 3000000; {sys.executable} -m vae_runtime {sample}"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: not enough memory")
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_one_clear_line(vae_run: Run) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "vae_runtime", "sample", "--seed", "0", "-o", "-"],
            stdout=full, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr
