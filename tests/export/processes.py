"""Running `vae-export` as a process."""

import os
import subprocess
import sys
from pathlib import Path


def run_export(*arguments: object, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """`python -m vae_export` with these arguments, which must never end in a traceback."""
    result = subprocess.run(
        [sys.executable, "-m", "vae_export", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert "Traceback" not in result.stderr
    return result
