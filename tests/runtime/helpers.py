"""What several tests of the runtime use."""

import subprocess
import threading
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

from click.testing import CliRunner

from vae_runtime.cli import group

DATA = Path(__file__).parent / "data"
# Seconds, for what takes microseconds on an idle machine.
PATIENCE = 20
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def zipped(folder: Path, file: Path, compression: int = zipfile.ZIP_STORED) -> Path:
    """A bundle's folder as one file."""
    with zipfile.ZipFile(file, "w", compression) as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, path.name)
    return file


def output_of(arguments: Sequence[str], folder: Path, *options: str) -> str:
    """What a command of vae-run prints; arguments with a dot are files in `folder`."""
    paths = [str(folder / item) if "." in item else item for item in arguments]
    done = CliRunner().invoke(group, [*paths, *options])
    assert done.exit_code == 0, (arguments, done.output, done.exception)
    return done.output


def threads_alive() -> int:
    """The threads of this process that belong to the runtime."""
    return sum(thread.name == "vae-run" for thread in threading.enumerate())


def wait_until(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.001)
