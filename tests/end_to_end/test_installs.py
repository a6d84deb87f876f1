"""What pip installs: the wheel and what it asks for, and the GPU recipe of docs/runtime.md."""

import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from email import message_from_bytes
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAX_WHEEL_BYTES = 3_000_000
MAX_MODEL_BYTES = 2_700_000

Environment = Callable[..., "subprocess.CompletedProcess[str]"]

pytestmark = pytest.mark.install


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "-q", "--wheel", "-o", str(folder), str(ROOT)]
    subprocess.run(build, check=True, timeout=300)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """Run a program of a fresh virtual environment, in an empty folder."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "env"], check=True, timeout=120)

    def run(program: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
        command = [str(tmp_path / "env" / "bin" / program), *map(str, arguments)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=900)

    return run


def test_the_wheel_is_small_complete_and_asks_for_four_packages(wheel: Path) -> None:
    assert wheel.stat().st_size <= MAX_WHEEL_BYTES
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        model = [info for info in archive.infolist() if "/models/digits.vae/" in info.filename]
        (metadata,) = [name for name in names if name.endswith(".dist-info/METADATA")]
        message = message_from_bytes(archive.read(metadata))
    assert sum(info.compress_size for info in model) <= MAX_MODEL_BYTES
    for package in ("vae_train", "vae_export", "vae_runtime"):
        assert f"{package}/py.typed" in names
    assert any(name.endswith("/LICENSE") for name in names)
    required = [line for line in message.get_all("Requires-Dist", []) if "extra ==" not in line]
    required_names = {re.split(r"[<>=]", line)[0] for line in required}
    assert required_names == {"onnxruntime", "numpy", "pillow", "click"}


def test_the_wheel_has_every_module_of_the_repository(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.endswith(".py")}
    for folder in ("runtime", "train", "export"):
        for path in (ROOT / folder).rglob("*.py"):
            assert path.relative_to(ROOT / folder).as_posix() in packed


KINDS = {".py", ".typed", ".json", ".onnx", ".npz", ".html", ".js", ".css", ".svg"}
METADATA = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "top_level.txt", "LICENSE"}
BUILT_AT = "1700000000"  # Seconds since 1970, as SOURCE_DATE_EPOCH has them.


def test_the_wheel_holds_nothing_but_its_packages(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    for name in names:
        folder = name.partition("/")[0]
        if folder.endswith(".dist-info"):
            assert name.rpartition("/")[2] in METADATA, name
        else:
            assert folder in ("vae_runtime", "vae_train", "vae_export"), name
            assert Path(name).suffix in KINDS, name


def built(kind: str, source: Path, folder: Path) -> Path:
    """A "wheel" or an "sdist" of a folder, as of BUILT_AT."""
    build = [sys.executable, "-m", "build", "-q", f"--{kind}", "-o", str(folder), str(source)]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": BUILT_AT}
    subprocess.run(build, check=True, timeout=300, env=environment)
    (path,) = folder.iterdir()
    return path


def test_two_builds_give_the_same_bytes(tmp_path: Path) -> None:
    wheels = []
    for name in ("first", "second"):
        wheels.append(built("wheel", ROOT, tmp_path / name).read_bytes())
    assert wheels[0] == wheels[1]


def test_the_source_distribution_gives_the_same_wheel(tmp_path: Path) -> None:
    archive = built("sdist", ROOT, tmp_path / "sdist")
    assert archive.stat().st_size <= MAX_WHEEL_BYTES
    with tarfile.open(archive) as members:
        names = [name.partition("/")[2] for name in members.getnames()]
        # The safe filter came with Python 3.11.4, and this archive is our own.
        members.extraction_filter = lambda member, path: member
        members.extractall(tmp_path / "source")
    for name in ("pyproject.toml", "README.md", "LICENSE", "runtime/vae_runtime/vae.py"):
        assert name in names
    assert [name for name in names if name.startswith((".", "runs", "build", "dist"))] == []
    (source,) = (tmp_path / "source").iterdir()
    again = members_of(built("wheel", source, tmp_path / "again"))
    assert again == members_of(built("wheel", ROOT, tmp_path / "wheel"))


def members_of(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_bill_of_materials_names_what_the_runtime_brings(
    wheel: Path, environment: Environment, tmp_path: Path
) -> None:
    assert environment("pip", "install", wheel).returncode == 0
    makefile = (ROOT / "Makefile").read_text()
    (command,) = re.findall(r"^\t\$\(BIN\)/(cyclonedx-py .*)$", makefile, re.M)
    _, *arguments = command.replace("$(BIN)", str(tmp_path / "env" / "bin")).split()
    arguments[arguments.index("-o") + 1] = str(tmp_path / "sbom.json")
    done = subprocess.run(
        [sys.executable, "-m", "cyclonedx_py", *arguments], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    bill = json.loads((tmp_path / "sbom.json").read_text())
    named = {component["name"].lower() for component in bill["components"]}
    assert {"vae-edge", "onnxruntime", "numpy", "pillow", "click"} <= named
    assert not named & {"torch", "onnx"}


def test_the_gpu_recipe_installs_upgrades_and_tells_what_is_wrong(
    wheel: Path, environment: Environment
) -> None:
    def pip(*arguments: object) -> None:
        done = environment("pip", *arguments)
        assert done.returncode == 0, done.stderr

    page = (ROOT / "docs" / "runtime.md").read_text("utf-8")
    gpu, ours = re.findall(r"^pip (install --upgrade .*)$", page, re.M)
    pip("install", "onnxruntime-gpu==1.30.0", "numpy", "pillow", "click")
    pip("install", "--no-deps", wheel)
    for _ in ("the first time", "as an upgrade"):
        pip(*gpu.replace('"', "").split())
        pip(*ours.replace("vae-edge", str(wheel)).split())
        assert environment("vae-run", "grid", "-o", "grid.png").returncode == 0
    listed = environment("pip", "list").stdout
    assert "onnxruntime-gpu" in listed
    assert not re.search(r"^onnxruntime ", listed, re.M)
    asked = environment("vae-run", "grid", "--provider", "cuda", "-o", "cuda.png")
    if asked.returncode:
        # No GPU here: one line with the true reason, no longer a missing library of CUDA.
        assert asked.stderr.count("\n") == 1
        reason = "Error: CUDA cannot run here: (no NVIDIA driver|the driver finds)"
        assert re.match(reason, asked.stderr)
    # The mistake.
    pip("install", "onnxruntime")
    broken = environment("vae-run", "grid", "--provider", "cuda", "-o", "broken.png")
    assert broken.returncode == 1
    assert "installed over each other; repair it: pip uninstall" in broken.stderr
    _, _, repair = broken.stderr.partition("repair it: ")
    for command in repair.strip().split(" && "):
        pip(*command.split()[1:])
    again = environment("vae-run", "grid", "--provider", "cuda", "-o", "cuda.png")
    assert (again.returncode, again.stderr) == (asked.returncode, asked.stderr)
