"""Two processes under torchrun: the run of one process, resumed by one, and dying as a whole."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest
import torch
from tests.train.processes import TRAIN, finished, started

from vae_train.checkpoint import load_contents

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
TRAIN_TWICE = [*TORCHRUN, "--nproc-per-node", "2", "-m", "vae_train"]
ONE_THREAD = {"OMP_NUM_THREADS": "1"}

pytestmark = pytest.mark.slow


def run(command: list[str], folder: Path) -> str:
    return finished(command, folder, ONE_THREAD).stdout


def gradients(path: Path) -> torch.Tensor:
    """The gradients of the first batch, all in one row.

    After one step they are Muon's velocities times 20 and Adam's moments times 10.
    """
    muon, adam = [part["state"] for part in load_contents(path)["optimizer"]]
    parts = [20 * muon[key]["velocity"] for key in sorted(muon)]
    parts += [10 * adam[key]["exp_avg"] for key in sorted(adam)]
    return torch.cat([part.flatten() for part in parts])


@pytest.mark.parametrize("preset", ["default", "best"])
def test_two_processes_have_the_gradients_of_one(
    preset: str, sample_folder: Path, tmp_path: Path
) -> None:
    # One step with an odd number of images.
    arguments = ["--data", str(sample_folder), "--preset", preset, "--epochs", "1"]
    arguments += ["--limit", "13"]
    run([*TRAIN, *arguments, "-o", "one"], tmp_path)
    assert run([*TRAIN_TWICE, *arguments, "-o", "two"], tmp_path).count("epoch 1/1") == 1
    expected = gradients(tmp_path / "one/model.pt")
    tolerance = 1e-5 * float(expected.abs().max())
    actual = gradients(tmp_path / "two/model.pt")
    torch.testing.assert_close(actual, expected, atol=tolerance, rtol=0)
    one = load_contents(tmp_path / "one/model.pt")
    two = load_contents(tmp_path / "two/model.pt")
    assert two["history"][0] == pytest.approx(one["history"][0], rel=1e-3)
    assert torch.equal(one["noise"], two["noise"])


def test_it_stops_everywhere_at_once_and_resumes_with_another_number(
    sample_folder: Path, tmp_path: Path
) -> None:
    arguments = ["--data", str(sample_folder), "--epochs", "3", "--limit", "400", "-o", "run"]
    process = started([*TRAIN_TWICE, *arguments], tmp_path, "epoch 1/3")
    first, _ = children(process.pid)
    # One of them is told, all of them stop after the same step.
    os.kill(first, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    # torchrun's own traceback reports the exit status.
    assert errors.count("Traceback") <= 1
    assert "onnection closed" not in errors
    saved = load_contents(tmp_path / "run/model.pt")["position"]
    assert saved["epoch"] >= 1
    run([*TRAIN, *arguments, "--resume"], tmp_path)
    assert load_contents(tmp_path / "run/model.pt")["position"]["epoch"] == 3


def test_when_one_process_is_killed_all_end_and_the_checkpoint_is_whole(
    sample_folder: Path, tmp_path: Path
) -> None:
    arguments = ["--data", str(sample_folder), "--epochs", "50", "--limit", "300", "-o", "run"]
    process = started([*TRAIN_TWICE, *arguments], tmp_path, "epoch 1/50")
    workers = children(process.pid)
    os.kill(workers[1], signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode != 0
    deadline = time.monotonic() + 10
    while any_alive(workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any_alive(workers)
    assert load_contents(tmp_path / "run/model.pt")["position"]["epoch"] >= 1


def children(pid: int) -> list[int]:
    """The processes that `pid` started, eldest first."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return sorted(map(int, text.split()))


def any_alive(pids: list[int]) -> bool:
    return any(Path(f"/proc/{pid}").exists() for pid in pids)
