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

from vae_export import ort
from vae_export.graphs import export_graph
from vae_export.int8.qdq import CalibratedModel
from vae_export.int8.search import layers_worth_quantizing
from vae_export.int8.signed import with_signed_bytes
from vae_export.rewrites import INT8_ARM_PASSES, rewrite
from vae_runtime.arrays import Float32
from vae_train.model import build_vae

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
DECODE = """
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("decoder.onnx", providers=["CPUExecutionProvider"])
(images,) = session.run(None, {"z": np.load("z.npy")})
np.save("images.npy", images)
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

    graphs = [EMBEDDED_BUNDLE / "decoder.cpu.onnx"]
    (first,), (second,) = (instructions(emulator, CPUS[0], graphs, (1, 16)) for _ in range(2))
    assert first == pytest.approx(second, rel=0.01)


@pytest.mark.parametrize("cpu", CPUS)
def test_int8_for_arm_gives_the_pictures_of_this_machine(
    emulator: Emulator, cpu: str, tmp_path: Path
) -> None:
    z = np.random.default_rng(0).standard_normal((9, 2)).astype(np.float32)
    graph = int8_decoder_for_arm(z)
    (tmp_path / "decoder.onnx").write_bytes(graph)
    np.save(tmp_path / "z.npy", z)
    done = emulator.python(cpu, "-c", DECODE, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (expected,) = ort.run(graph, z)
    assert np.abs(np.load(tmp_path / "images.npy") - expected).max() < 1 / 255


def int8_decoder_for_arm(z: Float32) -> bytes:
    """Preset quick's decoder, untrained, calibrated on z (N, 2)."""
    decoder = build_vae((1, 28, 28), 2, seed=1, networks="deep").decoder.eval()
    model = export_graph(decoder, (2,), "z", ["image"], {"precision": "fp32"})
    rewritten = rewrite(model, INT8_ARM_PASSES)
    assert rewritten is not None
    nodes = [name for layer in layers_worth_quantizing(rewritten) for name in layer]
    return with_signed_bytes(CalibratedModel(rewritten, z, nodes).quantize(nodes, 100.0))


def run_here(arguments: list[object], folder: Path) -> None:
    command = [sys.executable, "-m", "vae_runtime", *map(str, arguments)]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path), np.int16)


def score(path: Path) -> float:
    with path.open() as file:
        return float(next(csv.DictReader(file))["score"])
