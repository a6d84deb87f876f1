"""An ARM board without a board: Debian's arm64 Python and PyPI's aarch64 wheels under QEMU.

Everything is downloaded into one folder by apt and pip and unpacked there; nothing is installed,
and the system's own lists of packages stay as they are.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
DEFAULT_FOLDER = REPOSITORY / "build" / "emulator"
COUNTER = Path(__file__).with_name("counter.c")
GUEST_PACKAGES = ("python3.11-minimal", "libpython3.11-stdlib", "libstdc++6")
QEMU_PACKAGES = ("qemu-user",)
# Later versions end in a segmentation fault at import under Debian 12's QEMU, 7.2.
WHEELS = ("onnxruntime==1.26.*", "numpy", "pillow", "click", "flatbuffers", "packaging", "protobuf")
PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux2014_aarch64")
HOST_LIBRARIES = "usr/lib/x86_64-linux-gnu"
# The Raspberry Pi 4 and 5: without dot products of bytes, and with them.
CPUS = ("cortex-a72", "cortex-a76")


@dataclass(frozen=True)
class Emulator:
    """A folder with QEMU, arm64 libraries and Python, and the wheels that the runtime needs."""

    folder: Path

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def site(self) -> Path:
        return self.folder / "site"

    @property
    def counter(self) -> Path:
        return self.folder / "counter.so"

    def command(self, cpu: str, program: Sequence[str | Path], *, counted: bool) -> list[str]:
        """The command line that runs an arm64 program on `cpu`."""
        qemu = [str(self.folder / "qemu/usr/bin/qemu-aarch64"), "-cpu", cpu, "-L", str(self.root)]
        if counted:
            qemu += ["-plugin", str(self.counter)]
        # The libraries are QEMU's, not the guest's.
        return [*qemu, "-E", "LD_LIBRARY_PATH=", *map(str, program)]

    def python(
        self,
        cpu: str,
        *arguments: str | Path,
        counted: bool = False,
        cwd: Path | None = None,
        source: Path = REPOSITORY / "runtime",
    ) -> subprocess.CompletedProcess[str]:
        """Run the guest's Python, which finds vae_runtime in `source`."""
        program = [self.root / "usr/bin/python3.11", *arguments]
        return subprocess.run(
            self.command(cpu, program, counted=counted),
            env={**os.environ, **self._environment(source)},
            cwd=cwd,
            capture_output=True,
            text=True,
        )

    def _environment(self, source: Path) -> Mapping[str, str]:
        return {
            "LD_LIBRARY_PATH": str(self.folder / "qemu" / HOST_LIBRARIES),
            "PYTHONPATH": f"{source}:{self.site}",
            # What makes one run do other work than the next.
            "PYTHONHASHSEED": "0",
            "OPENBLAS_NUM_THREADS": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        }


def emulator_in(folder: Path = DEFAULT_FOLDER) -> Emulator:
    """The emulator in a folder, where what is missing is downloaded first."""
    emulator = Emulator(folder.absolute())
    done = emulator.folder / "complete"
    if not done.exists():
        shutil.rmtree(emulator.folder, ignore_errors=True)
        unpack_debian(emulator.folder / "qemu", "amd64", QEMU_PACKAGES)
        unpack_debian(emulator.root, "arm64", GUEST_PACKAGES)
        _unpack_wheels(emulator)
        done.touch()
    _compile_counter(emulator)
    return emulator


def unpack_debian(root: Path, architecture: str, packages: Sequence[str]) -> None:
    """Unpack Debian packages of an architecture, with all that they depend on."""
    state = root.parent / f"apt-{architecture}"
    for part in ("lists/partial", "archives/partial"):
        (state / part).mkdir(parents=True, exist_ok=True)
    (state / "status").touch()
    options = [
        f"Dir::State={state}",
        f"Dir::State::status={state / 'status'}",
        f"Dir::Cache={state}",
        f"APT::Architecture={architecture}",
        f"APT::Architectures::={architecture}",
        "APT::Sandbox::User=root",
    ]
    apt = ["apt-get", "-q"]
    for option in options:
        apt += ["-o", option]
    _run(*apt, "update")
    _run(*apt, "install", "-y", "--download-only", "--no-install-recommends", *packages)
    root.mkdir(parents=True, exist_ok=True)
    for package in sorted((state / "archives").glob("*.deb")):
        _run("dpkg-deb", "-x", package, root)
    shutil.rmtree(state)


def _unpack_wheels(emulator: Emulator) -> None:
    wheels = emulator.folder / "wheels"
    platforms: list[str] = []
    for platform in PLATFORMS:
        platforms += ["--platform", platform]
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:"]
    _run(*pip, "--python-version", "3.11", *platforms, "-d", wheels, *WHEELS)
    for wheel in wheels.glob("*.whl"):
        _run(sys.executable, "-m", "zipfile", "-e", wheel, emulator.site)
    shutil.rmtree(wheels)


def _compile_counter(emulator: Emulator) -> None:
    options = ["-O2", "-shared", "-fPIC", "-Wall"]
    _run("gcc", *options, "-o", emulator.counter, COUNTER)


def _run(*command: str | Path) -> None:
    subprocess.run([*map(str, command)], check=True, capture_output=True)
