"""`vae-export`: from a real checkpoint to a bundle, whole or not at all; one line for errors."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.export.processes import run_export

from vae_export import export_checkpoint
from vae_export.__main__ import main
from vae_runtime.bundle import read_bundle

OneLine = Callable[..., tuple[int, str]]


@pytest.mark.slow
def test_the_command_writes_a_bundle_beside_the_checkpoint(
    checkpoint: Path, exported: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "model.pt"
    copy.write_bytes(checkpoint.read_bytes())
    result = run_export(copy)
    assert (result.returncode, result.stderr) == (0, "")
    assert "z_mean" in result.stdout
    assert read_bundle(tmp_path / "model.vae").latent_dim == 2
    again = run_export(copy)
    assert again.returncode == 1
    assert again.stderr.startswith("Error: ")
    assert again.stderr.count("\n") == 1
    export_checkpoint(copy, force=True)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"model.pt", "model.vae"}
    for name in ("encoder.onnx", "decoder.onnx"):
        assert (tmp_path / "model.vae" / name).read_bytes() == (exported / name).read_bytes()


def test_options_of_a_factory_are_refused_for_a_checkpoint(
    checkpoint: Path, one_line: OneLine
) -> None:
    status, line = one_line(main, checkpoint, "--latent-dim", 3)
    assert status == 2
    assert "--latent-dim: for a factory" in line


def test_a_factory_without_its_function_is_told_how_it_is_written(one_line: OneLine) -> None:
    status, line = one_line(main, "mine", "--image-shape", "1,28,28")
    assert status == 1
    assert "mine: no such file or folder; a factory is written package.module:factory" in line


@pytest.mark.parametrize("contents", [None, b"", b"PK not really", b"\x80\x04K\x01."])
def test_a_bad_checkpoint_is_one_line(
    tmp_path: Path, one_line: OneLine, contents: bytes | None
) -> None:
    path = tmp_path / "model.pt"
    if contents is not None:
        path.write_bytes(contents)
    assert one_line(main, path)[0] == 1
    assert not (tmp_path / "model.vae").exists()


def test_too_few_images_to_calibrate_on_are_one_line(
    checkpoint: Path, sample_folder: Path, tmp_path: Path, one_line: OneLine
) -> None:
    (tmp_path / "few").mkdir()
    status, line = one_line(
        main, checkpoint, "--precision", "int8", "--calibration", tmp_path / "few"
    )
    assert status == 1
    assert str(tmp_path / "few") in line


def test_without_torch_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError('no torch', name='torch')")
    result = run_export("model.pt", cwd=tmp_path)
    assert result.returncode == 1
    assert 'pip install ".[export]"' in result.stderr
    assert result.stderr.count("\n") == 1


def test_importing_the_package_imports_neither_torch_nor_onnx() -> None:
    code = "import sys, vae_export; print(sorted({'torch', 'onnx'} & set(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout == "[]\n"
