"""From images to a picture with the four commands, as processes; and what the documents say of them."""

import re
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from PIL import Image

from vae_export.cli import command as export_command
from vae_runtime.idx import read_idx
from vae_train.cli import evaluate_command, train_command

ROOT = Path(__file__).parents[2]
DOCUMENTS = "\n".join(path.read_text("utf-8") for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))))


def run(folder: Path, *arguments: object) -> str:
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_train_evaluate_export_and_run(sample_folder: Path, tmp_path: Path) -> None:
    train = ["-m", "vae_train", "--data", sample_folder, "--epochs", 1, "--limit", 300, "-o", "digits"]
    assert "test ELBO" in run(tmp_path, *train)
    assert {p.name for p in (tmp_path / "digits").iterdir()} == {
        "model.pt", "history.csv", "losses.png", "grid.png", "latents.png", "grids", "learning.gif",
    }  # fmt: skip
    evaluate = "import sys; from vae_train.__main__ import evaluate; evaluate()"
    shown = run(tmp_path, "-c", evaluate, "digits/model.pt", "--data", sample_folder, "--limit", 300)
    assert re.search(r"test ELBO +-\d+\.\d+ ± .*\nreconstruction .*\nKL .*\nactive units +[012] of 2", shown)
    run(tmp_path, "-m", "vae_export", "digits/model.pt")
    run(tmp_path, "-m", "vae_runtime", "grid", "-m", "digits/model.vae", "-o", "grid.png")
    with Image.open(tmp_path / "grid.png") as ours, Image.open(tmp_path / "digits" / "grid.png") as trainers:
        assert ours.size == (420, 420)
        assert np.abs(np.asarray(ours, int) - np.asarray(trainers, int)).max() <= 1
    for i, image in enumerate(read_idx(sample_folder / "t10k-images-idx3-ubyte.gz")[:4]):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    images = [f"{i}.png" for i in range(4)]
    run(tmp_path, "-m", "vae_runtime", "reconstruct", *images, "-m", "digits/model.vae", "-o", "pairs.png")
    assert (tmp_path / "pairs.png").stat().st_size


def test_the_books_chapter_prints_both_losses_and_draws_the_grid(sample_folder: Path, tmp_path: Path) -> None:
    example = ROOT / "examples" / "book_chapter.py"
    shown = run(tmp_path, example, "--data", sample_folder, "--epochs", 1, "--limit", 300)
    assert re.search(r"epoch  1  reconstruction \d+\.\d+  KL \d+\.\d+", shown)
    with Image.open(tmp_path / "book" / "grid.png") as picture:
        assert picture.size == (420, 420)


@pytest.mark.parametrize(
    ("name", "command"),
    [("vae-train", train_command), ("vae-eval", evaluate_command), ("vae-export", export_command)],
)
def test_every_option_is_documented_and_every_command_has_an_example(name: str, command: click.Command) -> None:
    assert f"Example: {name}" in (command.help or "")
    assert f"`{name}" in DOCUMENTS or f"{name} " in DOCUMENTS
    options = {option for p in command.params for option in p.opts if option.startswith("--")} - {"--version"}
    assert sorted(option for option in options if option not in DOCUMENTS) == []


@pytest.mark.parametrize("document", ["README.md", "docs/exporting.md"])
def test_a_documents_python_runs_as_it_stands(document: str, tmp_path: Path) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```$", (ROOT / document).read_text("utf-8"), re.M | re.S)
    run(tmp_path, "-c", code)
