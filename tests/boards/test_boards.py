"""The runtime on emulated ARM boards, with real arm64 software, beside this machine.

Bit equality across CPUs is nobody's promise: kernels add in other orders. A pixel may round to the
next level.
"""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from benchmarks.instructions.counts import instructions
from benchmarks.instructions.emulator import CPUS, Emulator, emulator_in
from PIL import Image

pytestmark = pytest.mark.install
# Of a picture's pixels that round to the next level, at most.
MAX_ROUNDED = 1e-3
THREADS_AND_PICKLES = """
import pickle
import numpy as np
import vae_runtime

one = vae_runtime.load(threads=1)
two = pickle.loads(pickle.dumps(vae_runtime.load(threads=2)))
z = np.random.default_rng(0).standard_normal((50, 2))
assert one.decode(z).tobytes() == two.decode(z).tobytes()
images = one.sample(3, seed=0)
assert one.encode(images)[0].tobytes() == two.encode(images)[0].tobytes()
"""


@pytest.fixture(scope="module")
def emulator() -> Emulator:
    return emulator_in()


@pytest.fixture(scope="module")
def digit(tmp_path_factory: pytest.TempPathFactory, sample_folder: Path) -> Path:
    """A real digit as a PNG file."""
    from vae_runtime.formats.idx import read_idx

    path = tmp_path_factory.mktemp("digit") / "digit.png"
    Image.fromarray(read_idx(sample_folder / "t10k-images-idx3-ubyte.gz")[0]).save(path)
    return path


def board_run(emulator: Emulator, cpu: str, folder: Path, *arguments: object) -> None:
    """Run `vae-run` on a board, in a folder."""
    command = ["-m", "vae_runtime", *map(str, arguments)]
    done = emulator.python(cpu, *command, cwd=folder)
    assert done.returncode == 0, done.stderr


def test_pictures_and_scores_are_those_of_this_machine(
    emulator: Emulator, tmp_path: Path, digit: Path
) -> None:
    commands: dict[str, list[object]] = {
        "grid.png": ["grid", "-n", 5],
        "sample.png": ["sample", "--seed", 3],
        "pairs.png": ["reconstruct", digit],
        "scores.csv": ["score", digit],
    }
    (tmp_path / "board").mkdir()
    for output, command in commands.items():
        board_run(emulator, CPUS[0], tmp_path / "board", *command, "-o", output)
        run_here([*command, "-o", output], tmp_path)
        here, there = tmp_path / output, tmp_path / "board" / output
        if output.endswith(".png"):
            differences = np.abs(pixels(here) - pixels(there))
            assert differences.max() <= 1
            assert (differences > 0).mean() <= MAX_ROUNDED
        else:
            assert score(there) == pytest.approx(score(here), abs=1e-2)


@pytest.mark.parametrize("cpu", CPUS)
def test_a_board_agrees_with_torch(emulator: Emulator, cpu: str, tmp_path: Path) -> None:
    board_run(emulator, cpu, tmp_path, "check")


def test_threads_and_pickles_work_on_a_board(emulator: Emulator) -> None:
    done = emulator.python(CPUS[0], "-c", THREADS_AND_PICKLES)
    assert done.returncode == 0, done.stderr


def test_counts_of_instructions_repeat(emulator: Emulator) -> None:
    from vae_runtime.vae import EMBEDDED_BUNDLE

    calls = [(EMBEDDED_BUNDLE / "decoder.cpu.onnx", batch) for batch in (1, 16)]
    first, second = (instructions(emulator, CPUS[0], calls) for _ in range(2))
    assert first == pytest.approx(second, rel=0.01)


def run_here(arguments: list[object], folder: Path) -> None:
    command = [sys.executable, "-m", "vae_runtime", *map(str, arguments)]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path), np.int16)


def score(path: Path) -> float:
    with path.open() as file:
        return float(next(csv.DictReader(file))["score"])
