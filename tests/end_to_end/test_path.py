"""From images to a chart with the four commands, as processes; and what the documents say."""

import re
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from PIL import Image

from vae_export.cli import command as export_command
from vae_runtime.formats.idx import read_idx
from vae_train.cli import evaluate_command, train_command

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
DOCUMENTS = "\n".join(page.read_text("utf-8") for page in PAGES)
EVALUATE = "import sys; from vae_train.__main__ import evaluate; evaluate()"


def run(folder: Path, *arguments: object) -> str:
    """What python prints in `folder`; it must succeed without a word on stderr."""
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.slow
def test_train_evaluate_export_and_run(sample_folder: Path, tmp_path: Path) -> None:
    data = ("--data", sample_folder, "--limit", 300)
    trained = run(tmp_path, "-m", "vae_train", *data, "--epochs", 1, "-o", "digits")
    assert "test ELBO" in trained
    assert {path.name for path in (tmp_path / "digits").iterdir()} == {
        "best.pt",
        "model.pt",
        "history.csv",
        "losses.png",
        "samples.png",
        "reconstructions.png",
        "grid.png",
        "latents.png",
        "grids",
        "learning.gif",
    }
    evaluated = run(tmp_path, "-c", EVALUATE, "digits/model.pt", *data)
    assert re.search(
        r"test ELBO +-\d+\.\d+ ± .*\nreconstruction .*\nKL .*\nactive units +[012] of 2", evaluated
    )
    run(tmp_path, "-m", "vae_export", "digits/model.pt")
    vae_run = ("-m", "vae_runtime")
    run(tmp_path, *vae_run, "grid", "--book", "-m", "digits/model.vae", "-o", "grid.png")
    runtimes = read_image(tmp_path / "grid.png")
    trainers = read_image(tmp_path / "digits" / "grid.png")
    assert runtimes.shape[:2] == (420, 420)
    assert np.abs(runtimes - trainers).max() <= 1
    files = []
    for i, image in enumerate(read_idx(sample_folder / "t10k-images-idx3-ubyte.gz")[:4]):
        files.append(f"{i}.png")
        Image.fromarray(image).save(tmp_path / files[-1])
    run(tmp_path, *vae_run, "reconstruct", *files, "-m", "digits/model.vae", "-o", "pairs.png")
    assert (tmp_path / "pairs.png").stat().st_size


@pytest.mark.slow
def test_the_books_chapter_prints_both_losses_and_draws_the_grid(
    sample_folder: Path, tmp_path: Path
) -> None:
    example = ROOT / "examples" / "book_chapter.py"
    shown = run(tmp_path, example, "--data", sample_folder, "--epochs", 2, "--limit", 120)
    assert re.search(r"epoch  1  reconstruction \d+\.\d+  KL \d+\.\d+", shown)
    assert re.search(r"Keras: loss 0\.\d+  val_loss 0\.\d+", shown)
    computed, from_nats = re.findall(r"Keras's loss (\d\.\d{4})", shown)
    assert computed == from_nats
    assert read_image(tmp_path / "book" / "losses.png").size
    assert read_image(tmp_path / "book" / "grid.png").shape[:2] == (420, 420)


@pytest.mark.parametrize(
    ("name", "command"),
    [("vae-train", train_command), ("vae-eval", evaluate_command), ("vae-export", export_command)],
)
def test_every_option_is_documented_and_every_command_has_an_example(
    name: str, command: click.Command
) -> None:
    assert f"Example: {name}" in (command.help or "")
    assert f"`{name}" in DOCUMENTS or f"{name} " in DOCUMENTS
    options = [option for parameter in command.params for option in parameter.opts]
    long_options = {option for option in options if option.startswith("--")} - {"--version"}
    assert sorted(option for option in long_options if option not in DOCUMENTS) == []


@pytest.mark.parametrize("document", ["README.md", "docs/exporting.md"])
@pytest.mark.slow
def test_a_documents_python_runs_as_it_stands(document: str, tmp_path: Path) -> None:
    text = (ROOT / document).read_text("utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)
    run(tmp_path, "-c", code)


def read_image(path: Path) -> np.ndarray:
    """The pixels as whole numbers that may be subtracted."""
    with Image.open(path) as image:
        return np.asarray(image, int)
