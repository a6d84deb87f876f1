"""What goes wrong on clusters, for real: each fault strikes a run of `vae-run ray encode`, and then
everything must be there, once, and right.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from benchmarks.scale import is_actor, write_digits

import vae_runtime
from vae_runtime.explore.addresses import reachable_host
from vae_runtime.formats.png import png_bytes
from vae_runtime.formats.sheets import Pixels

SECONDS_OF_PATIENCE = 900
PORT = 26379
# A folder has a file for so many rows of the other runs; so many hold one that is damaged.
ROWS_PER_FILE = 10
FILES_PER_DAMAGED = 100
# Ray's clusters ask for a token, which a test on one machine need not set up.
NO_TOKENS = {"RAY_AUTH_MODE": "disabled"}
SUMMARY = re.compile(
    r"([\d,]+) rows, ([\d,]+) errors; part files: (\d+), (\d+) of them from before"
)


@dataclass(frozen=True)
class Data:
    """Images to encode, a .npy (N, 28, 28), and what comes out where nothing goes wrong."""

    path: Path
    rows: int
    z_mean: np.ndarray = field(repr=False)


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    rows: int
    errors: int
    parts: int
    parts_from_before: int


def make_data(folder: Path, rows: int, mnist: Path) -> Data:
    """Real digits, no two alike, and what one process makes of them."""
    path = write_digits(folder, rows, mnist)
    images = np.load(path, mmap_mode="r")
    vae = vae_runtime.load(threads=2)
    z_mean = np.concatenate([vae.encode(images[i : i + 2000])[0] for i in range(0, rows, 2000)])
    return Data(path, rows, z_mean)


def worker_killed(data: Data, folder: Path) -> str:
    """An actor dies in the middle: its part is computed again."""
    output = folder / "worker-killed"
    with run(data.path, output) as driver:
        wait_for_parts(output, 1, driver)
        actors = wait_for_actors(driver)
        actors[0].kill()
        outcome = finish(driver)
    require_all(data, output, outcome)
    return f"actor {actors[0].pid} killed; {outcome}"


def driver_killed(data: Data, folder: Path) -> str:
    """The driver dies, then is started again: finished parts are not computed again."""
    output = folder / "driver-killed"
    with run(data.path, output) as driver:
        wait_for_parts(output, 2, driver)
        processes = psutil.Process(driver.pid).children(recursive=True)
        driver.kill()
        driver.wait()
    psutil.wait_procs(processes, timeout=60)
    left = [process.name() for process in processes if process.is_running()]
    before = {path: path.stat().st_mtime_ns for path in output.glob("part-*")}
    with run(data.path, output) as driver:
        outcome = finish(driver)
    require(outcome.parts_from_before == len(before), f"{outcome}, but {len(before)} were there")
    unchanged = all(path.stat().st_mtime_ns == date for path, date in before.items())
    require(unchanged, "a finished part was written again")
    require_all(data, output, outcome)
    return f"{outcome}; processes of the killed driver that stayed: {len(left)}"


def node_joins_late(data: Data, folder: Path) -> str:
    """A second machine, here a second raylet, joins a cluster at work, and gets actors."""
    output = folder / "late-node"
    address = f"{reachable_host()}:{PORT}"
    ray_command("start", "--head", f"--port={PORT}", "--num-cpus=1", "--include-dashboard=false")
    try:
        with run(data.path, output, RAY_ADDRESS=address) as driver:
            wait_for_parts(output, 1, driver)
            ray_command("start", f"--address={address}", "--num-cpus=1")
            nodes = wait_until(lambda: len(raylets_with_actors()) == 2 or driver.poll() is not None)
            require(nodes and driver.poll() is None, "the second node got no actor")
            outcome = finish(driver)
    finally:
        ray_command("stop", "--force")
    require_all(data, output, outcome)
    return f"actors on 2 nodes; {outcome}"


def disk_full(data: Data, folder: Path) -> str:
    """The output's disk is full: one line; with room again, the run goes on."""
    disk = folder / "small-disk"
    disk.mkdir()
    kilobytes = max(64, data.rows * 20 // 2000)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "none", disk], check=True)
    try:
        output = disk / "out"
        with run(data.path, output) as driver:
            _, errors = driver.communicate(timeout=SECONDS_OF_PATIENCE)
        require(driver.returncode == 1, f"exit status {driver.returncode}: {errors}")
        require("No space left" in errors and errors.count("\n") == 1, f"it said: {errors}")
        subprocess.run(["mount", "-o", f"remount,size={kilobytes * 10}k", disk], check=True)
        with run(data.path, output) as driver:
            outcome = finish(driver)
        require_all(data, output, outcome)
    finally:
        subprocess.run(["umount", disk], check=True)
    return f"ended with {errors.strip()!r}, then {outcome}"


def damaged_files(data: Data, folder: Path) -> str:
    """One file in a hundred of a folder is damaged: its row says why, all others are right."""
    pictures = folder / "pictures"
    pictures.mkdir()
    count = data.rows // ROWS_PER_FILE
    images = np.load(data.path, mmap_mode="r")
    for row in range(count):
        write_picture(pictures / f"{row:06}.png", images[row], row)
    output = folder / "damaged-files"
    with run(pictures, output) as driver:
        text, errors = driver.communicate(timeout=SECONDS_OF_PATIENCE)
    require(driver.returncode == 1, f"exit status {driver.returncode}: {errors}")
    outcome = outcome_of(text + errors)
    table = pq.read_table(output)
    is_damaged = np.arange(count) % FILES_PER_DAMAGED == 0
    require((table["id"].to_numpy() == np.arange(count)).all(), "rows are lost or twice")
    has_error = np.array(table["error"].to_pylist()) != ""
    require((has_error == is_damaged).all(), "errors at other rows than the damaged ones")
    z_mean = latents_in(table)
    require(np.isnan(z_mean[is_damaged]).all(), "numbers where there was no image")
    right = data.z_mean[:count][~is_damaged].tobytes()
    require(z_mean[~is_damaged].tobytes() == right, "latents differ from those of one process")
    require(outcome.errors == is_damaged.sum(), str(outcome))
    return f"{outcome}"


def write_picture(path: Path, image: Pixels, row: int) -> None:
    """An image as a file; of every hundred the first is cut off, emptied, or no picture at all."""
    content = png_bytes(image)
    if row % FILES_PER_DAMAGED == 0:
        damages = (content[: len(content) // 2], b"", b"not a picture", bytes(len(content)))
        content = damages[row // FILES_PER_DAMAGED % len(damages)]
    path.write_bytes(content)


FAULTS: dict[str, Callable[[Data, Path], str]] = {
    "worker killed": worker_killed,
    "driver killed": driver_killed,
    "node joins late": node_joins_late,
    "disk full": disk_full,
    "damaged files": damaged_files,
}


@contextmanager
def run(source: Path, output: Path, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """`vae-run ray encode`, killed where the block ends before it."""
    command: list[str | Path] = [sys.executable, "-m", "vae_runtime", "ray", "encode"]
    command += [source, "-o", output]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **NO_TOKENS, **environment},
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait()


def finish(driver: subprocess.Popen[str]) -> Outcome:
    """Wait for the end of a run that must succeed."""
    text, errors = driver.communicate(timeout=SECONDS_OF_PATIENCE)
    require(driver.returncode == 0 and not errors, f"exit status {driver.returncode}: {errors}")
    return outcome_of(text)


def outcome_of(text: str) -> Outcome:
    """What the last line of a run says."""
    match = SUMMARY.search(text)
    require(match is not None, f"it printed {text!r}")
    assert match is not None
    rows, row_errors, parts, before = [int(group.replace(",", "")) for group in match.groups()]
    return Outcome(rows, row_errors, parts, before)


def require_all(data: Data, output: Path, outcome: Outcome) -> None:
    """Nothing lost, nothing twice, nothing wrong: every row, in order, bit for bit."""
    require(outcome.rows == data.rows and outcome.errors == 0, str(outcome))
    table = pq.read_table(output)
    require((table["id"].to_numpy() == np.arange(data.rows)).all(), "rows are lost or twice")
    require(
        latents_in(table).tobytes() == data.z_mean.tobytes(),
        "latents differ from those of one process",
    )
    hidden = [path.name for path in output.iterdir() if path.name.startswith(".")]
    require(not hidden, f"left behind: {hidden}")


def latents_in(table: pa.Table) -> np.ndarray:
    """(N, D)."""
    flat: np.ndarray = table["z_mean"].combine_chunks().flatten().to_numpy()
    return flat.reshape(len(table), -1)


def require(condition: bool, message: str) -> None:
    if not condition:
        raise AssertionError(message)


def wait_for_parts(output: Path, count: int, driver: subprocess.Popen[str]) -> None:
    is_there = wait_until(
        lambda: len(list(output.glob("part-*"))) >= count or driver.poll() is not None
    )
    if driver.poll() is not None:
        raise AssertionError(f"the run ended before its fault: {driver.communicate()}")
    require(is_there, "no part came")


def wait_for_actors(driver: subprocess.Popen[str]) -> list[psutil.Process]:
    found: list[psutil.Process] = []

    def any_actor() -> bool:
        found[:] = actors_below(psutil.Process(driver.pid))
        return bool(found)

    require(wait_until(any_actor), "there is no actor")
    return found


def actors_below(process: psutil.Process) -> list[psutil.Process]:
    return [child for child in process.children(recursive=True) if is_actor(child)]


def raylets_with_actors() -> set[int]:
    """The process numbers of the raylets, one per node, that have actors."""
    return {process.ppid() for process in psutil.process_iter() if is_actor(process)}


def wait_until(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + SECONDS_OF_PATIENCE
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


def ray_command(*arguments: str) -> None:
    command = [str(Path(sys.executable).with_name("ray")), *arguments]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, **NO_TOKENS})
