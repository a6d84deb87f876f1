"""Other engines than this machine's onnxruntime give the pictures that vae-run writes."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from benchmarks.instructions.emulator import CPUS, emulator_in
from benchmarks.runtimes.__main__ import DEFAULT_FOLDER
from benchmarks.runtimes.c_program import compile_for_arm, compile_here
from benchmarks.runtimes.engines import ORT_NEEDS, engines_in, wheels_in
from benchmarks.runtimes.plan import Job, jobs_of, read_outputs, write_plan
from PIL import Image

import vae_runtime
from vae_runtime.arrays import Int64
from vae_runtime.bundle import read_bundle
from vae_runtime.vae import EMBEDDED_BUNDLE

ROOT = Path(__file__).parents[2]
RUNTIME = ROOT / "runtime"
COLOR = ROOT / "tests" / "runtime" / "data" / "color.vae"
DECODER = EMBEDDED_BUNDLE / "decoder.onnx"
# Of 256, where the last bits of a float32 decide between two of them.
MAX_ROUNDED = 1e-3


def test_a_plan_is_run_as_the_runtime_runs_its_bundle(tmp_path: Path) -> None:
    bundle = read_bundle(COLOR)
    rng = np.random.default_rng(0)
    images = rng.random((5, *bundle.image_shape), np.float32)
    z = rng.standard_normal((5, bundle.latent_dim), np.float32)
    jobs = jobs_of(COLOR, bundle, images, z)
    assert [job.part for job in jobs] == sorted((job.part for job in jobs), reverse=True)
    engines_in(tmp_path)[0].run(write_plan(jobs, tmp_path))
    first, *_, last = read_outputs(jobs, tmp_path)
    with vae_runtime.load(COLOR, provider="cpu") as vae:
        z_mean, z_log_var = vae.encode(images)
        np.testing.assert_allclose(first["z_mean"], z_mean, atol=1e-6)
        np.testing.assert_allclose(first["z_log_var"], z_log_var, atol=1e-6)
        np.testing.assert_allclose(last["image"], vae.decode(z).reshape(5, -1), atol=1e-6)


def test_inputs_are_filled_up_for_a_graph_of_one_batch() -> None:
    z = np.arange(10, dtype=np.float32).reshape(5, 2)
    filled = Job("decoder", DECODER, z, batch=3).filled_up
    assert filled.shape == (6, 2)
    np.testing.assert_array_equal(filled[:5], z)
    assert Job("decoder", DECODER, z, batch=None).filled_up.shape == (5, 2)


@pytest.mark.install
@pytest.mark.parametrize("bundle", [EMBEDDED_BUNDLE, COLOR], ids=["gray", "color"])
def test_the_c_program_writes_the_pixels_of_vae_run(tmp_path: Path, bundle: Path) -> None:
    program = compile_here(DEFAULT_FOLDER)
    z = _latents(bundle)
    done = _decode([program], bundle / "decoder.onnx", tmp_path / "c.pgm", z)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "c.pgm").read_bytes()[:2] == (b"P5" if bundle == EMBEDDED_BUNDLE else b"P6")
    _require_alike(tmp_path / "c.pgm", _by_vae_run(bundle, z, tmp_path))


@pytest.mark.install
def test_the_c_program_runs_on_a_board(tmp_path: Path) -> None:
    emulator = emulator_in()
    program = compile_for_arm(DEFAULT_FOLDER, emulator)
    z = _latents(EMBEDDED_BUNDLE)
    picture = tmp_path / "arm.pgm"
    done = emulator.run(CPUS[0], [program, DECODER, picture, *map(str, z)])
    assert done.returncode == 0, done.stderr
    _require_alike(picture, _by_vae_run(EMBEDDED_BUNDLE, z, tmp_path))


@pytest.mark.install
def test_errors_of_the_c_program_are_one_line(tmp_path: Path) -> None:
    program = compile_here(DEFAULT_FOLDER)
    picture = tmp_path / "image.pgm"
    (tmp_path / "damaged.onnx").write_bytes(DECODER.read_bytes()[:1000])
    cases: dict[str, list[object]] = {
        "usage": [],
        "takes 2 latents, not 1": [DECODER, picture, 0],
        "x: is no latent": [DECODER, picture, 0, "x"],
        "nan: is no latent": [DECODER, picture, 0, "nan"],
        "it is no decoder": [EMBEDDED_BUNDLE / "encoder.onnx", picture, 0, 0],
        "nowhere.onnx": [tmp_path / "nowhere.onnx", picture, 0, 0],
        "damaged.onnx": [tmp_path / "damaged.onnx", picture, 0, 0],
        "cannot be written": [DECODER, tmp_path / "no" / "image.pgm", 0, 0],
    }
    for reason, arguments in cases.items():
        command = [str(program), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 1
        assert done.stderr.startswith("Error: ")
        assert reason in done.stderr
        assert done.stderr.count("\n") == 1
    assert not picture.exists()


@pytest.mark.install
def test_openvino_alone_gives_the_images_of_vae_run(tmp_path: Path) -> None:
    path = wheels_in(DEFAULT_FOLDER, "openvino", "openvino-telemetry", "numpy")
    pillow = wheels_in(DEFAULT_FOLDER, "pillow")
    example = ROOT / "examples" / "openvino_images.py"
    command = [sys.executable, example, EMBEDDED_BUNDLE, tmp_path / "openvino.png"]
    _run([*command], tmp_path, path, pillow)
    sample = ["-m", "vae_runtime", "sample", "-n", 16, "--seed", 0, "--scale", 1, "-o", "ours.png"]
    _run([sys.executable, *sample], tmp_path, RUNTIME)
    _require_alike(tmp_path / "openvino.png", tmp_path / "ours.png")


@pytest.mark.install
def test_openvino_is_a_provider_by_name(tmp_path: Path) -> None:
    path = wheels_in(DEFAULT_FOLDER, "onnxruntime-openvino", *ORT_NEEDS)
    check = ["-m", "vae_runtime", "check", "--provider", "openvino"]
    printed = _run([sys.executable, *check], tmp_path, path, RUNTIME)
    assert "agrees with torch on OpenVINOExecutionProvider" in printed


def _latents(bundle: Path) -> list[float]:
    count = read_bundle(bundle).latent_dim
    return [round(float(value), 3) for value in np.random.default_rng(3).standard_normal(count)]


def _decode(
    command: list[object], graph: Path, picture: Path, z: list[float]
) -> subprocess.CompletedProcess[str]:
    arguments = [*command, graph, picture, *z]
    return subprocess.run([*map(str, arguments)], capture_output=True, text=True)


def _by_vae_run(bundle: Path, z: list[float], folder: Path) -> Path:
    """What vae-run writes for a latent."""
    names = ",".join(f"z_mean_{i}" for i in range(len(z)))
    (folder / "z.csv").write_text(f"name,{names}\none,{','.join(map(str, z))}\n", "utf-8")
    command = ["-m", "vae_runtime", "decode", "z.csv", "-m", bundle, "--scale", 1, "-o", "run.png"]
    _run([sys.executable, *command], folder, RUNTIME)
    return folder / "run.png"


def _run(command: list[object], folder: Path, *paths: Path) -> str:
    """Run a program that finds packages in these folders; what it prints."""
    done = subprocess.run(
        [*map(str, command)],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": ":".join(map(str, paths))},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _require_alike(first: Path, second: Path) -> None:
    differences = np.abs(_levels(first) - _levels(second))
    assert differences.max() <= 1
    assert (differences > 0).mean() <= MAX_ROUNDED


def _levels(path: Path) -> Int64:
    with Image.open(path) as image:
        return np.asarray(image, np.int64)
