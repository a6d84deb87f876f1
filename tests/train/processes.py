"""Training as real processes: the commands, how they are started, and how they fail."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

TRAIN = [sys.executable, "-m", "vae_train"]
EVALUATE = [sys.executable, "-c", "from vae_train.__main__ import evaluate; evaluate()"]
# No test waits longer for a process, in seconds.
TIMEOUT = 240


def started(command: Sequence[str], folder: Path, line: str) -> "subprocess.Popen[str]":
    """A process that is under way: a line on its stdout has begun with `line`."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    for shown in process.stdout:
        if shown.startswith(line):
            return process
    raise AssertionError(process.communicate())


def finished(
    command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """A process that has ended as it should."""
    done = _run(command, folder, environment, None)
    assert done.returncode == 0, done.stderr
    return done


def failed(
    command: Sequence[str],
    folder: Path,
    *,
    environment: Mapping[str, str] | None = None,
    before_start: Callable[[], None] | None = None,
) -> str:
    """The one line that a process ends with, which must fail."""
    done = _run(command, folder, environment, before_start)
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def _run(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str] | None,
    before_start: Callable[[], None] | None,
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        env=os.environ | (environment or {}),
        preexec_fn=before_start,
    )
