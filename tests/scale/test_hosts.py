"""Training on two machines: the same run, and its end when one of them dies."""

import csv
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.scale.hosts import train_on, two_hosts

from vae_train.checkpoint import load_contents

pytestmark = pytest.mark.install
SECONDS = 300


def losses(run: Path) -> list[float]:
    with (run / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [float(row["train_reconstruction"]) for row in rows]


def train(folder: Path, sample_folder: Path, *arguments: object) -> None:
    command = [sys.executable, "-m", "vae_train", "--data", sample_folder, "-o", folder]
    subprocess.run([*map(str, [*command, *arguments])], check=True, timeout=SECONDS)


def test_two_hosts_have_the_losses_of_one(tmp_path: Path, sample_folder: Path) -> None:
    arguments = ("--epochs", 2, "--limit", 300)
    train(tmp_path / "one", sample_folder, *arguments)
    with two_hosts() as hosts:
        both = train_on(hosts, "--data", sample_folder, "-o", tmp_path / "two", *arguments)
        for process in both:
            _, errors = process.communicate(timeout=SECONDS)
            assert process.returncode == 0, errors
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-5)


@pytest.mark.parametrize("dying", [0, 1])
def test_a_host_that_dies_ends_the_run_and_the_other_goes_on_alone(
    tmp_path: Path, sample_folder: Path, dying: int
) -> None:
    run = tmp_path / "run"
    with two_hosts() as hosts:
        arguments = ("--epochs", 500, "--limit", 300)
        both = train_on(hosts, "--data", sample_folder, "-o", run, *arguments)
        wait_for(run / "model.pt", both[0])
        hosts[dying].pull_cable()
        began = time.monotonic()
        _, errors = both[1 - dying].communicate(timeout=SECONDS)
        assert time.monotonic() - began < 60
        assert both[1 - dying].returncode != 0
        assert "continue with --resume" in errors
    epoch = load_contents(run / "model.pt")["position"]["epoch"]
    assert epoch >= 1
    train(run, sample_folder, "--resume", "--epochs", epoch + 1, "--limit", 300)
    assert load_contents(run / "model.pt")["position"]["epoch"] == epoch + 1


def wait_for(path: Path, process: "subprocess.Popen[str]") -> None:
    while not path.exists():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.1)
