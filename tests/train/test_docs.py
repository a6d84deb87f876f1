"""The Python of docs/training.md runs as it stands."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.train.image_files import fill

PAGE = Path(__file__).parents[2] / "docs" / "training.md"
TRAINING, *RECIPES = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)
# What each package of a recipe leaves of a run.
TRACES = {
    "tensorboard": "runs/photos/tensorboard/events.out.*",
    "wandb": "wandb/offline-run-*",
    "mlflow": "mlflow.db",
}


def run(code: str, folder: Path) -> str:
    """What a program prints that a reader of the page runs beside a folder of photos."""
    fill(folder / "photos", 24, (64, 64))
    (folder / "program.py").write_text(code, "utf-8")
    environment = {"VAE_EDGE_CACHE": str(folder / "cache"), "WANDB_MODE": "offline"}
    done = subprocess.run(
        [sys.executable, "program.py"],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_training_from_python_calls_back_after_each_epoch(tmp_path: Path) -> None:
    shown = run(TRAINING, tmp_path)
    assert re.fullmatch(r"(epoch \d: test ELBO -?\d+\.\d nats, \d+ s\n){2}", shown)
    assert (tmp_path / "runs" / "photos" / "model.pt").is_file()


@pytest.mark.parametrize("package", TRACES)
@pytest.mark.slow
def test_a_recipe_follows_the_training(package: str, tmp_path: Path) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    (recipe,) = [code for code in RECIPES if package in code]
    setup, _, call = TRAINING.rpartition("\n\n\n")
    run("\n".join([setup, recipe, call]), tmp_path)
    assert list(tmp_path.glob(TRACES[package]))


def test_there_is_a_recipe_for_each_package() -> None:
    for package, recipe in zip(TRACES, RECIPES, strict=True):
        assert package in recipe
