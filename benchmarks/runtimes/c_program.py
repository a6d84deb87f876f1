"""examples/c/decode.c, compiled for this machine and for ARM boards.

onnxruntime's library comes from its Python wheel, which has no headers; those are Debian 13's. A
program that was compiled with older headers runs with newer libraries.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import onnxruntime

from benchmarks.instructions.emulator import REPOSITORY, Emulator, alone_in, unpack_debian

SOURCE = REPOSITORY / "examples" / "c" / "decode.c"
HEADER_PACKAGE, HEADER_SUITE = "libonnxruntime-dev", "trixie"
CROSS_PACKAGES = ("gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross")
SONAME = "libonnxruntime.so.1"
WARNINGS = ("-std=c11", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror")


def headers_in(folder: Path) -> Path:
    """The folder of onnxruntime_c_api.h, downloaded into `folder` where it isn't there."""
    include = folder / "headers" / "usr" / "include" / "onnxruntime"
    with alone_in(folder):
        if not include.is_dir():
            unpack_debian(folder / "headers", "amd64", [HEADER_PACKAGE], suite=HEADER_SUITE)
    return include


def compile_here(folder: Path) -> Path:
    """Compile the program for this machine; its path."""
    folder = folder.absolute()
    library = _library(Path(str(onnxruntime.__file__)).parent, folder / "native")
    program = folder / "native" / "decode"
    _compile("gcc", [], headers_in(folder), library, program)
    return program


def compile_for_arm(folder: Path, emulator: Emulator) -> Path:
    """Compile it for 64-bit ARM, with the library that the emulated board has; its path."""
    folder = folder.absolute()
    root = folder / "cross"
    with alone_in(folder):
        if not root.is_dir():
            unpack_debian(root, "amd64", CROSS_PACKAGES)
    library = _library(emulator.site / "onnxruntime", folder / "arm")
    program = folder / "arm" / "decode"
    # The compiler was unpacked, not installed, so it is told where all of its own lies.
    options = [
        f"--sysroot={root}",
        f"-isystem{root / 'usr/aarch64-linux-gnu/include'}",
        "-Wl,--unresolved-symbols=ignore-in-shared-libs",
    ]
    compiler = root / "usr/bin/aarch64-linux-gnu-gcc"
    libraries = {"LD_LIBRARY_PATH": str(root / "usr/lib/x86_64-linux-gnu")}
    _compile(compiler, options, headers_in(folder), library, program, libraries)
    return program


def _library(package: Path, folder: Path) -> Path:
    """The library of an unpacked wheel, by the name that programs look for."""
    (library,) = (package / "capi").glob("libonnxruntime.so.*")
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / SONAME
    link.unlink(missing_ok=True)
    link.symlink_to(library)
    return link


def _compile(
    compiler: str | Path,
    options: list[str],
    include: Path,
    library: Path,
    program: Path,
    environment: Mapping[str, str] | None = None,
) -> None:
    found_at = f"-Wl,-rpath,{library.parent}"
    command = [compiler, *WARNINGS, *options, f"-I{include}", SOURCE, "-o", program]
    command += [library, "-lm", found_at]
    done = subprocess.run(
        [*map(str, command)],
        env=os.environ | dict(environment or {}),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"{SOURCE} doesn't compile: {done.stderr}")
