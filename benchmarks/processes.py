"""python -m benchmarks.processes: start-up, memory and long runs of whole processes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass

import click
import numpy as np

from vae_runtime.console import CONTEXT_SETTINGS

# What every command must import at least.
BARE_IMPORTS = [sys.executable, "-c", "import numpy, onnxruntime, PIL.Image, click"]
VAE_RUN = [sys.executable, "-m", "vae_runtime"]
GRID = [*VAE_RUN, "grid"]
DECODE_CALLS = [sys.executable, "-m", "benchmarks.decode_calls"]
# Images of the short stream that the long one is compared with.
SHORT_STREAM = 10_000


@dataclass(frozen=True)
class Usage:
    """What one process took."""

    seconds: float
    peak_mib: float


@click.command(context_settings=CONTEXT_SETTINGS)
@click.option("--rounds", default=25, show_default=True, help="Of the start-up, in turns.")
@click.option("--images", default=1_000_000, show_default=True, help="In the long streams.")
@click.option(
    "--calls/--no-calls", default=True, help="The 2,000 decode calls, which take minutes."
)
def main(rounds: int, images: int, calls: bool) -> None:
    """Measure the embedded model's processes.

    Example: python -m benchmarks.processes --rounds 11 --images 100000
    """
    with tempfile.TemporaryDirectory() as folder:
        _print_start_up(rounds, folder)
        for suffix, name in ((".npy", "one .npy"), ("", "a folder of PNGs")):
            short = _stream_peak(SHORT_STREAM, suffix, folder)
            long = _stream_peak(images, suffix, folder)
            click.echo(
                f"{images:,} images to {name}: peak {long:.1f} MiB, "
                f"{long / short:.3f}x that of {SHORT_STREAM:,}"
            )
    if calls:
        _print_decode_calls()


def measure(command: Sequence[str], folder: str) -> Usage:
    """Run one process in `folder`."""
    # With it Python would compile every module at every start.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    return Usage(time.perf_counter() - began, usage.ru_maxrss / 1024)


def _print_start_up(rounds: int, folder: str) -> None:
    # The first run compiles and fills the disk cache.
    measure(BARE_IMPORTS, folder)
    measure(GRID, folder)
    bare = []
    grid = []
    for _ in range(rounds):
        bare.append(measure(BARE_IMPORTS, folder))
        grid.append(measure(GRID, folder))
    ratio = np.median([b.seconds / a.seconds for a, b in zip(bare, grid, strict=True)])
    middle = _median(grid)
    click.echo(
        f"vae-run grid: {middle.seconds * 1000:.0f} ms, {ratio:.2f}x the bare imports, "
        f"peak {middle.peak_mib:.1f} MiB"
    )
    middle = _median(bare)
    click.echo(f"bare imports: {middle.seconds * 1000:.0f} ms, peak {middle.peak_mib:.1f} MiB")


def _median(usages: Sequence[Usage]) -> Usage:
    return Usage(
        seconds=float(np.median([usage.seconds for usage in usages])),
        peak_mib=float(np.median([usage.peak_mib for usage in usages])),
    )


def _stream_peak(count: int, suffix: str, folder: str) -> float:
    """Peak memory in MiB of sampling `count` images to a file or folder."""
    with tempfile.TemporaryDirectory(dir=folder) as empty:
        sample = [*VAE_RUN, "sample", "-n", str(count), "--seed", "0", "-o", f"out{suffix}"]
        return measure(sample, empty).peak_mib


def _print_decode_calls() -> None:
    done = subprocess.run(DECODE_CALLS, capture_output=True, text=True, check=True)
    sizes = " ".join(f"{float(line):.1f}" for line in done.stdout.split())
    click.echo(f"resident over 2,000 calls of 1 to 5,000 images, MiB: {sizes}")


if __name__ == "__main__":
    main()
