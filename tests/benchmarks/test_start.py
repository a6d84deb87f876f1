"""Every benchmark starts, and the shortest run of each prints its table."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from click.testing import CliRunner

ROOT = Path(__file__).parents[2]


def run(module: str, *arguments: object) -> str:
    """What `python -m module` prints; it must succeed."""
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "module",
    [
        "benchmarks",
        "benchmarks.processes",
        "benchmarks.photographs",
        "benchmarks.posterior",
        "benchmarks.quality",
        "benchmarks.recipes",
        "benchmarks.training",
    ],
)
def test_every_command_explains_itself(module: str) -> None:
    start = import_module(module if "." in module else f"{module}.__main__")
    shown = CliRunner().invoke(start.main, ["--help"])
    assert shown.exit_code == 0
    assert f"Example: python -m {module} " in shown.output


@pytest.mark.slow
def test_recipes_with_trainers_of_their_own_train(sample_folder: Path) -> None:
    recipes = ("weights averaged", "KL warm-up", "importance-weighted objective, K = 3")
    options = ["--data", sample_folder, "--limit", 100, "--epochs", 1, "--jobs", 1]
    for recipe in recipes:
        options += ["--only", recipe]
    lines = run("benchmarks.recipes", *options).splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == [f"| {recipe}" for recipe in recipes]


@pytest.mark.slow
def test_what_the_decoder_allows_is_printed(sample_folder: Path) -> None:
    other = ROOT / "examples" / "pictures"
    options = ["--data", sample_folder, "-n", 12, "--seconds", 0.1, "--other", other]
    shown = run("benchmarks.posterior", *options)
    for name in ("ELBO, refined", "exact log p(x)", "exact, relative", "refined, of each image"):
        assert f"\n| {name}" in shown, shown


@pytest.mark.slow
def test_training_is_timed() -> None:
    options = ["--preset", "quick", "--steps", 2, "--threads", 1, "--no-compile"]
    lines = run("benchmarks.training", *options).splitlines()
    assert lines[-1].startswith("| quick | ")
    assert lines[-1].endswith(" | – |")


@pytest.mark.slow
def test_a_checkpoint_is_compared_with_its_peers(sample_folder: Path, tmp_path: Path) -> None:
    train = ["--data", sample_folder, "--preset", "quick", "--limit", 300, "--epochs", 1]
    run("vae_train", *train, "-o", tmp_path / "run")
    options = ["--no-compile", "--no-many", "--threads", 1, "--batch", 1, "--seconds", 0.1]
    shown = run("benchmarks", tmp_path / "run" / "model.pt", *options)
    for peer in ("plain ONNX", "torch eager", "ours fp32"):
        assert shown.count(f"\n| {peer} | ") == 2, shown


@pytest.mark.slow
def test_what_int8_gains_on_this_cpu_is_printed_for_both_parts() -> None:
    lines = run("benchmarks.zoo.int8", "--only", "keras").splitlines()
    assert len(lines) == 5
    cells = [cell.strip() for cell in lines[-1].split("|")[2:-1]]
    values = [float(value) for cell in cells for value in cell.split(";")]
    assert len(values) == 8
    assert min(values) > 0
