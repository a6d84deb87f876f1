"""How OpenMP waits and how many threads it has, as libgomp itself says when torch loads it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.train.processes import EVALUATE, TIMEOUT, TRAIN

from vae_train.threads import PASSIVE_WAITING, WAITING_VARIABLES, request_threads, wait_passively

# Both end after torch was imported, for there is nothing of this name.
FAILING = [[*TRAIN, "--data", "absent"], [*EVALUATE, "absent.pt"]]
HELP = [[*TRAIN, "--help"], [*TRAIN, "--version"], [*EVALUATE, "--help"], [*EVALUATE, "--version"]]


def clean_environment() -> dict[str, str]:
    """The environment of a user who has set nothing about threads."""
    environment = dict(os.environ)
    for name in (*WAITING_VARIABLES, "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        environment.pop(name, None)
    return environment


def openmp_settings(command: list[str], folder: Path, **variables: str) -> dict[str, str]:
    """What libgomp reports when a command loads it."""
    environment = clean_environment() | {"OMP_DISPLAY_ENV": "VERBOSE"} | variables
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT
    )
    assert done.returncode == 1
    assert "Error: absent" in done.stderr
    return dict(re.findall(r"(\w+) = '(.*)'", done.stderr))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="asks libgomp, which torch has on Linux")
@pytest.mark.parametrize("command", FAILING, ids=["vae-train", "vae-eval"])
def test_threads_do_not_spin_unless_the_user_says_how_they_wait(
    command: list[str], tmp_path: Path
) -> None:
    assert openmp_settings(command, tmp_path)["GOMP_SPINCOUNT"] == "0"
    chosen = openmp_settings(command, tmp_path, GOMP_SPINCOUNT="1234")
    assert chosen["GOMP_SPINCOUNT"] == "1234"
    active = openmp_settings(command, tmp_path, OMP_WAIT_POLICY="ACTIVE")
    assert active["OMP_WAIT_POLICY"] == "ACTIVE"


@pytest.mark.skipif(sys.platform != "linux", reason="asks libgomp, which torch has on Linux")
@pytest.mark.parametrize("command", FAILING, ids=["vae-train", "vae-eval"])
def test_the_number_of_threads_is_known_before_torch_is(command: list[str], tmp_path: Path) -> None:
    settings = openmp_settings([*command, "--threads", "3"], tmp_path)
    assert settings["OMP_NUM_THREADS"] == "3"


@pytest.mark.parametrize("name", WAITING_VARIABLES)
def test_one_choice_of_the_users_is_enough(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for each in WAITING_VARIABLES:
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv(name, "1")
    wait_passively()
    assert [each for each in WAITING_VARIABLES if each in os.environ] == [name]
    monkeypatch.delenv(name)
    wait_passively()
    assert {each: os.environ[each] for each in PASSIVE_WAITING} == PASSIVE_WAITING
    for each in PASSIVE_WAITING:
        monkeypatch.delenv(each)


def test_without_a_number_openmp_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    request_threads(None)
    assert os.environ["OMP_NUM_THREADS"] == "5"


@pytest.mark.parametrize("command", HELP, ids=lambda command: f"{command[-2]} {command[-1]}"[-30:])
def test_help_and_version_import_no_torch(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise AssertionError('torch was imported')")
    environment = clean_environment()
    environment["PYTHONPATH"] = os.pathsep.join([str(tmp_path), *sys.path])
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIMEOUT)
    assert done.returncode == 0, done.stderr
