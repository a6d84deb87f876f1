"""An ARM board without a board: Debian's arm64 Python and PyPI's aarch64 wheels under QEMU.

Everything is downloaded into one folder by apt and pip and unpacked there; nothing is installed,
and the system's own lists of packages stay as they are.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
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
        return self.run(cpu, program, counted=counted, cwd=cwd, source=source)

    def run(
        self,
        cpu: str,
        program: Sequence[str | Path],
        *,
        counted: bool = False,
        cwd: Path | None = None,
        source: Path = REPOSITORY / "runtime",
    ) -> subprocess.CompletedProcess[str]:
        """Run any arm64 program."""
        return subprocess.run(
            self.command(cpu, program, counted=counted),
            env={**os.environ, **self.environment(source)},
            cwd=cwd,
            capture_output=True,
            text=True,
        )

    def environment(self, source: Path = REPOSITORY / "runtime") -> Mapping[str, str]:
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
    with alone_in(emulator.folder):
        if not done.exists():
            shutil.rmtree(emulator.folder, ignore_errors=True)
            unpack_debian(emulator.folder / "qemu", "amd64", QEMU_PACKAGES)
            unpack_debian(emulator.root, "arm64", GUEST_PACKAGES)
            _unpack_wheels(emulator)
            done.touch()
        _compile_counter(emulator)
    return emulator


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Wait until no other process downloads into a folder."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def unpack_debian(
    root: Path, architecture: str, packages: Sequence[str], *, suite: str | None = None
) -> None:
    """Unpack Debian packages of an architecture, with all that they depend on.

    With a `suite`, such as trixie, they are that release's, and come alone.
    """
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
    if suite is None:
        _run(*apt, "update")
        _run(*apt, "install", "-y", "--download-only", "--no-install-recommends", *packages)
    else:
        (state / "sources.list").write_text(f"deb {_mirror()} {suite} main\n", "utf-8")
        apt += ["-o", f"Dir::Etc::sourcelist={state / 'sources.list'}"]
        apt += ["-o", "Dir::Etc::sourceparts=/dev/null"]
        _run(*apt, "update")
        _run(*apt, "download", *packages, cwd=state / "archives")
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


def _mirror() -> str:
    """The address that this machine's own packages come from."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout.split()[0]


def _run(*command: str | Path, cwd: Path | None = None) -> None:
    subprocess.run([*map(str, command)], check=True, capture_output=True, cwd=cwd)
