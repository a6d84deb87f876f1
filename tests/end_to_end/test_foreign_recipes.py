"""Every recipe of docs/foreign.md runs as it stands, with the library that it is for."""

import os
import re
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "foreign.md").read_text("utf-8")
BLOCKS = re.compile(r"^```(python|sh)\n(.*?)^```$", re.M | re.S)


def recipe(title: str) -> tuple[dict[str, str], list[str]]:
    """The files of one section by their names, and its commands."""
    section = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    files = {}
    commands: list[str] = []
    for language, code in BLOCKS.findall(section):
        if language == "python":
            name = re.match(r"# (\w+\.py)\n", code)
            assert name, code
            files[name[1]] = code
        else:
            commands += code.splitlines()
    assert commands, title
    return files, commands


def run_recipe(title: str, folder: Path, python: Path) -> str:
    """Run a recipe in `folder` with the interpreter `python`; returns all that it printed."""
    files, commands = recipe(title)
    for name, code in files.items():
        (folder / name).write_text(code, "utf-8")
    programs = {
        "python": [str(python)],
        "pip": [str(python), "-m", "pip", "-q"],
        "vae-export": [str(python), "-m", "vae_export"],
    }
    printed = ""
    packages = [ROOT / name for name in ("runtime", "train", "export")]
    python_path = os.pathsep.join(map(str, [folder, *packages]))
    environment = {**os.environ, "PYTHONPATH": python_path}
    for command in commands:
        program, *arguments = shlex.split(command)
        done = subprocess.run(
            [*programs[program], *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            env=environment,
            timeout=600,
        )
        assert done.returncode == 0, (command, done.stderr)
        assert "Traceback" not in done.stderr
        printed += done.stdout
    return printed


def assert_bundle_runs(folder: Path, name: str) -> None:
    for command in ("check", "sample"):
        done = subprocess.run(
            [sys.executable, "-m", "vae_runtime", command, "-m", name],
            cwd=folder,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_plain_and_pickled_modules_and_python(tmp_path: Path) -> None:
    python = Path(sys.executable)
    printed = run_recipe("A plain nn.Module", tmp_path, python)
    assert "images: flattened" in printed
    assert "a pickled VAE" in run_recipe("A whole pickled module", tmp_path, python)
    assert "latents: (20)" in run_recipe("From Python", tmp_path, python)
    for name in ("plain.vae", "pickled.vae", "python.vae"):
        assert_bundle_runs(tmp_path, name)


@pytest.mark.install
@pytest.mark.parametrize(
    ("title", "bundle", "found"),
    [
        ("pythae", "pythae.vae", "embedding and log_covariance"),
        ("diffusers", "diffusers.vae", "latents: (4, 16, 16)"),
        ("Lightning modules", "lightning.vae", "heads fc_mu and fc_var"),
    ],
)
def test_a_librarys_recipe_in_an_environment_of_its_own(
    tmp_path: Path, title: str, bundle: str, found: str
) -> None:
    environment = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True, timeout=600)
    (packages,) = environment.glob("lib/python*/site-packages")
    # torch and onnx are those of this environment; the library comes from its registry.
    (packages / "base.pth").write_text(sysconfig.get_path("purelib"), "utf-8")
    printed = run_recipe(title, tmp_path, environment / "bin" / "python")
    assert found in printed
    assert_bundle_runs(tmp_path, bundle)
