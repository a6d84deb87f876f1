"""Two real processes under torchrun: the run of one process, resumed by one, and dying as a whole."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from vae_train.checkpoint import load_contents

ONE = [sys.executable, "-m", "vae_train"]
TWO = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "vae_train"]


def run(command: list[str], folder: Path) -> str:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout


def gradients(path: Path) -> torch.Tensor:
    """The gradients of the first batch: after one step they are Muon's velocities times 20, Adam's moments times 10."""
    muon, adam = (part["state"] for part in load_contents(path)["optimizer"])
    parts = [20 * muon[key]["velocity"] for key in sorted(muon)] + [10 * adam[key]["exp_avg"] for key in sorted(adam)]
    return torch.cat([part.flatten() for part in parts])


@pytest.mark.parametrize("preset", ["default", "best"])
def test_two_processes_have_the_gradients_of_one(preset: str, sample_folder: Path, tmp_path: Path) -> None:
    arguments = ["--data", str(sample_folder), "--preset", preset, "--epochs", "1", "--limit", "13"]  # one step, odd
    run([*ONE, *arguments, "-o", "one"], tmp_path)
    assert run([*TWO, *arguments, "-o", "two"], tmp_path).count("epoch 1/1") == 1
    one, two = (gradients(tmp_path / name / "model.pt") for name in ("one", "two"))
    torch.testing.assert_close(two, one, atol=1e-5 * float(one.abs().max()), rtol=0)
    one, two = (load_contents(tmp_path / name / "model.pt") for name in ("one", "two"))
    assert two["history"][0] == pytest.approx(one["history"][0], rel=1e-3)
    assert torch.equal(one["noise"], two["noise"])


def test_it_stops_everywhere_at_once_and_resumes_with_another_number(sample_folder: Path, tmp_path: Path) -> None:
    arguments = ["--data", str(sample_folder), "--epochs", "3", "--limit", "400", "-o", "run"]
    process = subprocess.Popen(
        [*TWO, *arguments], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline().startswith("epoch 1/3")
    first, _ = children(process.pid)
    os.kill(first, signal.SIGINT)  # one of them is told, all of them stop after the same step
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    assert errors.count("Traceback") <= 1  # torchrun's own, which reports the exit status
    assert "onnection closed" not in errors
    saved = load_contents(tmp_path / "run/model.pt")["position"]
    assert saved["epoch"] >= 1
    run([*ONE, *arguments, "--resume"], tmp_path)
    assert load_contents(tmp_path / "run/model.pt")["position"]["epoch"] == 3


def test_when_one_process_is_killed_all_end_and_the_checkpoint_is_whole(sample_folder: Path, tmp_path: Path) -> None:
    arguments = ["--data", str(sample_folder), "--epochs", "50", "--limit", "300", "-o", "run"]
    process = subprocess.Popen(
        [*TWO, *arguments], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline().startswith("epoch 1/50")
    workers = children(process.pid)
    os.kill(workers[1], signal.SIGKILL)
    assert process.wait(timeout=60) != 0
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
    assert load_contents(tmp_path / "run/model.pt")["position"]["epoch"] >= 1


def children(pid: int) -> list[int]:
    """The processes that `pid` started, eldest first."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return sorted(map(int, text.split()))
