"""The book's chapter on the embedded model, as a program and as a notebook.

`test_path.py` trains the book's own model.
"""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

EXAMPLES = Path(__file__).parents[2] / "examples"
PROGRAM = EXAMPLES / "book_chapter.py"
NOTEBOOK = EXAMPLES / "book_chapter.ipynb"
WITHOUT_TORCH = """
import runpy, sys
sys.modules["torch"] = None
runpy.run_path(sys.argv.pop(1), run_name="__main__")
"""
CELL_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
PICTURES = ("setup", "sample", "plane", "grid", "path", "concepts", "scatter")


@pytest.fixture(scope="module")
def notebook() -> dict[str, Any]:
    contents: dict[str, Any] = json.loads(NOTEBOOK.read_text("utf-8"))
    return contents


def test_the_program_needs_no_training_and_no_torch(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_TORCH, str(PROGRAM)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    losses = re.search(r"reconstruction (\d+\.\d+)  KL (\d+\.\d+)  nats per image", done.stdout)
    assert losses
    keras = [float(value) for value in re.findall(r"Keras's loss (\d\.\d{4})", done.stdout)]
    expected = (float(losses[1]) + 0.392 * float(losses[2])) / 784
    assert keras == pytest.approx([expected, expected], abs=1e-4)
    written = {str(path.relative_to(tmp_path)) for path in (tmp_path / "book").iterdir()}
    assert written == set(re.findall(r"book/\w+\.\w+", done.stdout))
    assert len(written) == 7


def test_the_program_fails_with_one_line_where_there_is_no_data(tmp_path: Path) -> None:
    command = [sys.executable, str(PROGRAM), "--epochs", "1", "--data", "nowhere"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1


def test_the_notebook_is_one_of_format_4_5(notebook: dict[str, Any]) -> None:
    assert set(notebook) == {"cells", "metadata", "nbformat", "nbformat_minor"}
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)
    assert all(CELL_ID.fullmatch(cell_id) for cell_id in ids)
    for cell in notebook["cells"]:
        assert cell["cell_type"] in ("code", "markdown")
        assert isinstance(cell["metadata"], dict)
        assert all(isinstance(line, str) for line in cell["source"])


def test_the_notebook_is_committed_without_outputs(notebook: dict[str, Any]) -> None:
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)
        else:
            assert set(cell) == {"cell_type", "id", "metadata", "source"}


@pytest.mark.parametrize("folder", ["examples", "."])
def test_the_notebooks_cells_run_in_order(
    notebook: dict[str, Any],
    folder: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(EXAMPLES.parent / folder)
    shown = run_cells(notebook, {})
    for cell_id in PICTURES:
        picture = shown[cell_id]
        assert isinstance(picture, Image.Image)
        low, high = picture.convert("L").getextrema()
        assert low != high
    printed = capsys.readouterr().out
    by_keras, from_nats = re.findall(r"Keras's loss (\d\.\d{4})", printed)
    assert by_keras == from_nats
    assert 0.15 < float(by_keras) < 0.18
    assert "0.392 KL" in printed


@pytest.mark.slow
def test_the_notebook_can_train_the_books_model(
    notebook: dict[str, Any],
    sample_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tests").symlink_to(EXAMPLES.parent / "tests")
    names: dict[str, Any] = {}
    wishes = {
        "epochs = 0": "epochs = 2",
        "limit = None": "limit = 100",
        '"mnist", limit': f'"{sample_folder}", limit',
    }
    shown = run_cells(notebook, names, wishes)
    assert isinstance(shown["training"], Image.Image)
    assert isinstance(shown["grid"], Image.Image)
    assert names["vae"].bundle.training["preset"] == "book"


def run_cells(
    notebook: dict[str, Any], names: dict[str, Any], training: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Run the code cells in order, and give what each shows; `training` changes that one's text."""
    shown = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        source = "".join(cell["source"])
        if cell["id"] == "training":
            for old, new in (training or {}).items():
                assert old in source
                source = source.replace(old, new)
        shown[cell["id"]] = run_cell(source, names)
    return shown


def run_cell(source: str, names: dict[str, Any]) -> Any:
    """Run a cell as a notebook does, and give the value of its last line where that has one."""
    statements = ast.parse(source).body
    last = statements.pop() if isinstance(statements[-1], ast.Expr) else None
    exec(compile(ast.Module(statements, []), "cell", "exec"), names)
    if not isinstance(last, ast.Expr):
        return None
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names)
