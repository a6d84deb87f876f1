"""The npm module, installed and built once."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A built copy of bindings/js, so that the repository stays as it is."""
    folder = tmp_path_factory.mktemp("npm") / "js"
    unwanted = shutil.ignore_patterns("node_modules", "dist")
    shutil.copytree(ROOT / "bindings" / "js", folder, ignore=unwanted)
    npm(folder, "install", "--ignore-scripts", "--no-audit", "--no-fund")
    npm(folder, "run", "build")
    return folder


def npm(folder: Path, *arguments: str) -> str:
    """Run npm in a folder; what it prints."""
    done = subprocess.run(
        ["npm", *arguments], cwd=folder, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
