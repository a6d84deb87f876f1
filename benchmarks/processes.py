"""python -m benchmarks.processes: start-up, memory and long runs of whole processes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

import click
import numpy as np

BARE = [sys.executable, "-c", "import numpy, onnxruntime, PIL.Image, click"]
RUN = [sys.executable, "-m", "vae_runtime"]
# Resident memory after each hundred of 2,000 calls that decode 1 to 5,000 images.
CALLS = """
import os
import numpy as np
import vae_runtime
random = np.random.default_rng(0)
with vae_runtime.load(provider="cpu") as vae:
    for call in range(2000):
        vae.decode(random.standard_normal((random.integers(1, 5001), vae.latent_dim)))
        if call % 100 == 99:
            print(int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20)
"""


def measured(command: Sequence[str], folder: str) -> tuple[float, float]:
    """Seconds and peak memory in MiB of one process."""
    began = time.perf_counter()
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    return time.perf_counter() - began, usage.ru_maxrss / 1024


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--rounds", default=25, show_default=True, help="Of the start-up, in turns.")
@click.option("--images", default=1_000_000, show_default=True, help="In the long streams.")
@click.option("--calls/--no-calls", default=True, help="The 2,000 decode calls, which take minutes.")
def main(rounds: int, images: int, calls: bool) -> None:
    """Measure the embedded model's processes.

    Example: python -m benchmarks.processes --rounds 11 --images 100000
    """
    with tempfile.TemporaryDirectory() as folder:
        grid = [*RUN, "grid"]
        for command in (BARE, grid):
            measured(command, folder)  # compiles and fills the disk cache
        pairs = [(measured(BARE, folder), measured(grid, folder)) for _ in range(rounds)]
        bare, ours = np.median(np.array(pairs), 0)
        ratio = np.median([b[0] / a[0] for a, b in pairs])
        click.echo(f"vae-run grid: {ours[0] * 1000:.0f} ms, {ratio:.2f}x the bare imports, peak {ours[1]:.1f} MiB")
        click.echo(f"bare imports: {bare[0] * 1000:.0f} ms, peak {bare[1]:.1f} MiB")
        for suffix, name in ((".npy", "one .npy"), ("", "a folder of PNGs")):
            few, many = (_stream(n, suffix, folder) for n in (10_000, images))
            click.echo(f"{images:,} images to {name}: peak {many:.1f} MiB, {many / few:.3f}x that of 10,000")
        if calls:
            done = subprocess.run([sys.executable, "-c", CALLS], capture_output=True, text=True, check=True)
            sizes = [float(line) for line in done.stdout.split()]
            click.echo(f"resident over 2,000 calls of 1 to 5,000 images, MiB: {' '.join(f'{s:.1f}' for s in sizes)}")


def _stream(n: int, suffix: str, folder: str) -> float:
    with tempfile.TemporaryDirectory(dir=folder) as place:
        _, peak = measured([*RUN, "sample", "-n", str(n), "--seed", "0", "-o", f"out{suffix}"], place)
    return peak


if __name__ == "__main__":
    main()
