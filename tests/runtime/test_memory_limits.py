"""Little memory is enough, or one line; a folder of photographs takes that of one at a time."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.runtime.helpers import DATA

from vae_runtime.memory_limits import MIN_ADDRESS_SPACE, MIN_DATA, is_out_of_memory

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux keeps such limits")
MIB = 1 << 20
COMMANDS = ("grid -o grid.png", "encode digit.png -o latents.csv", "score digit.png")
# More than one photograph's, so that two of them at once would be seen.
PHOTOGRAPHS, WIDTH, HEIGHT = 5, 4000, 3000
MEASURED = """
import resource, sys
from vae_runtime.__main__ import group, run
try:
    run(group, "vae-run")
finally:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


@pytest.fixture
def folder(tmp_path: Path, test_images: np.ndarray) -> Path:
    Image.fromarray(test_images[0]).save(tmp_path / "digit.png")
    return tmp_path


def limited(folder: Path, kind: str, mib: int, command: str) -> "subprocess.CompletedProcess[str]":
    """Run vae-run where the shell's `ulimit` allows so much; it must not think of other threads."""
    environment = {name: value for name, value in os.environ.items() if "NUM_THREADS" not in name}
    script = f"ulimit -{kind} {mib * 1024}; exec {sys.executable} -m vae_runtime {command}"
    return subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
    )


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(("kind", "mib"), [("d", 128), ("v", 256)])
def test_it_works_where_memory_is_limited(folder: Path, command: str, kind: str, mib: int) -> None:
    done = limited(folder, kind, mib, command)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(("kind", "mib"), [("v", 128), ("v", 64), ("d", 64)])
def test_too_little_to_begin_is_one_line_with_what_is_needed(
    folder: Path, kind: str, mib: int
) -> None:
    done = limited(folder, kind, mib, COMMANDS[0])
    needed = MIN_ADDRESS_SPACE if kind == "v" else MIN_DATA
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: this process may have {mib} MiB")
    assert f"need {needed // MIB} to begin" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("kind", "mib"), [("d", 160), ("v", 256)])
def test_a_photograph_that_does_not_fit_is_one_line_and_a_smaller_one_goes(
    folder: Path, kind: str, mib: int
) -> None:
    write_photographs(folder / "photos", 1)
    done = limited(folder, kind, mib, "encode photos -o latents.csv")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: not enough memory for this;")
    assert done.stderr.count("\n") == 1
    assert not (folder / "latents.csv").exists()
    done = limited(folder, kind, mib, "encode photos -o latents.csv --max-pixels 1000000")
    assert done.returncode == 0, done.stderr


def test_a_small_limit_means_one_thread_and_asking_for_more_still_counts(folder: Path) -> None:
    done = limited(folder, "v", 512, f"info -m {DATA / 'tiny.vae'}")
    assert "CPUExecutionProvider, 1 threads" in done.stdout
    done = limited(folder, "v", 512, f"info --threads 2 -m {DATA / 'tiny.vae'}")
    assert "CPUExecutionProvider, 2 threads" in done.stdout


@pytest.mark.slow
def test_a_folder_of_photographs_takes_the_memory_of_one_at_a_time(folder: Path) -> None:
    write_photographs(folder / "one", 1)
    write_photographs(folder / "many", PHOTOGRAPHS)
    one, many = (peak_mib(folder, f"encode {name} -o {name}.csv") for name in ("one", "many"))
    pixels_mib = WIDTH * HEIGHT * 3 / MIB
    assert one > pixels_mib
    assert many < one + pixels_mib / 2


def test_a_library_that_must_be_loaded_first_is_no_lack_of_memory() -> None:
    # glibc's words on ARM, with gigabytes free.
    message = "libgomp.so.1: cannot allocate memory in static TLS block"
    assert not is_out_of_memory(ImportError(message))
    assert is_out_of_memory(ImportError("libx.so: failed to map segment from shared object"))


def peak_mib(folder: Path, command: str) -> float:
    """The largest memory of a `vae-run` that succeeds."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *command.split()],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout.split()[-1])


def write_photographs(folder: Path, count: int) -> None:
    """JPEG files of 12 megapixels: one, by several names."""
    folder.mkdir()
    picture = Image.new("RGB", (WIDTH, HEIGHT), (230, 228, 220))
    picture.paste((30, 30, 60), (1500, 1000, 1900, 2200))
    picture.save(folder / "0.jpg")
    for i in range(1, count):
        os.link(folder / "0.jpg", folder / f"{i}.jpg")
