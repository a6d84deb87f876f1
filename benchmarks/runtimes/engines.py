"""The engines: each runs all graphs of a plan in a process of its own.

What they need is downloaded by pip, npm and apt into one folder, and nothing is installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.instructions.emulator import HOST_LIBRARIES, alone_in, emulator_in

GUEST = Path(__file__).with_name("guest.py")
GUEST_MJS = Path(__file__).with_name("guest.mjs")
CPU = "CPUExecutionProvider"
OPENVINO = "OpenVINOExecutionProvider"
# Without AVX-512 and VNNI.
OLD_X86 = "Haswell"
NPM_PACKAGES = ("onnxruntime-web@~1.30.0", "onnxruntime-node@~1.30.0")
# What a wheel of onnxruntime needs that isn't in every environment of ours.
ORT_NEEDS = ("numpy", "flatbuffers", "packaging", "protobuf")

# A plan -> nothing; the outputs lie where the plan says.
Run = Callable[[Path], None]


class EngineError(Exception):
    """An engine that ended otherwise than by giving its outputs."""


@dataclass(frozen=True)
class Engine:
    """What the table calls it, and how it runs a plan."""

    name: str
    run: Run


def engines_in(folder: Path) -> list[Engine]:
    """All engines; what they need is downloaded into `folder` when they first run."""
    folder = folder.absolute()
    return [
        Engine("onnxruntime, this CPU", lambda plan: _python(plan, "onnxruntime", CPU)),
        Engine("onnxruntime, x86-64 of 2013", lambda plan: _old_x86(plan, folder)),
        Engine("onnxruntime, Cortex-A72", lambda plan: _board(plan, "cortex-a72")),
        Engine("onnxruntime, Cortex-A76", lambda plan: _board(plan, "cortex-a76")),
        Engine("onnxruntime-web, wasm", lambda plan: _node(plan, folder, "onnxruntime-web/wasm")),
        Engine("onnxruntime-node", lambda plan: _node(plan, folder, "onnxruntime-node")),
        Engine("OpenVINO", lambda plan: _openvino(plan, folder)),
        Engine("OpenVINO in onnxruntime", lambda plan: _openvino_provider(plan, folder)),
    ]


def wheels_in(folder: Path, *packages: str) -> Path:
    """A folder with these packages of PyPI, to be put on the path."""
    target = folder / packages[0]
    with alone_in(folder):
        if not target.is_dir():
            part = target.with_name(f"{target.name}.part")
            pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target"]
            _finish([*pip, str(part), *packages], {})
            part.rename(target)
    return target


def _python(plan: Path, *arguments: str, path: Path | None = None) -> None:
    environment = {} if path is None else {"PYTHONPATH": str(path)}
    _finish([sys.executable, str(GUEST), str(plan), *arguments], environment)


def _old_x86(plan: Path, folder: Path) -> None:
    """The emulator's x86-64, which takes this machine's Python and wheels."""
    emulator = emulator_in()
    command = [str(emulator.folder / "qemu/usr/bin/qemu-x86_64"), "-cpu", OLD_X86]
    command += ["-E", "LD_LIBRARY_PATH=", sys.executable, str(GUEST), str(plan)]
    libraries = {"LD_LIBRARY_PATH": str(emulator.folder / "qemu" / HOST_LIBRARIES)}
    _finish([*command, "onnxruntime", CPU], libraries)


def _board(plan: Path, cpu: str) -> None:
    _require_done(emulator_in().python(cpu, GUEST, str(plan), "onnxruntime", CPU))


def _node(plan: Path, folder: Path, module: str) -> None:
    home = folder / "node"
    with alone_in(folder):
        home.mkdir(parents=True, exist_ok=True)
        if not (home / "node_modules").is_dir():
            # The install script of onnxruntime-node would download what is for GPUs.
            npm = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund"]
            _finish([*npm, "--prefix", str(home), *NPM_PACKAGES], {})
        shutil.copy(GUEST_MJS, home)
    _finish(["node", str(home / GUEST_MJS.name), str(plan), module], {})


def _openvino(plan: Path, folder: Path) -> None:
    _python(plan, "openvino", path=wheels_in(folder, "openvino", "openvino-telemetry", "numpy"))


def _openvino_provider(plan: Path, folder: Path) -> None:
    path = wheels_in(folder, "onnxruntime-openvino", *ORT_NEEDS)
    _python(plan, "onnxruntime", OPENVINO, path=path)


def _finish(command: list[str], environment: Mapping[str, str]) -> None:
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True
    )
    _require_done(done)


def _require_done(done: subprocess.CompletedProcess[str]) -> None:
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"ended with {done.returncode}"]
        raise EngineError(lines[-1])
