"""Output that appears whole or not at all: written beside its target, synced, renamed into place."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vae_runtime.errors import VAEError


@contextmanager
def atomic_file(target: str | os.PathLike[str]) -> Iterator[Path]:
    """A path beside `target` to write to; it becomes `target` when the block ends without an exception.

    Raises VAEError naming `target` when the folder is missing or read-only, or the disk is full.
    """
    target = Path(target)
    if target.is_dir():
        raise VAEError(f"{target}: is a folder, a file was expected")
    temporary = _beside(target)
    with _disk_errors(target):
        try:
            temporary.touch(exist_ok=False)  # now rather than after minutes of work
            yield temporary
            sync(temporary)
            os.replace(temporary, target)
            sync(target.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_directory(target: str | os.PathLike[str]) -> Iterator[Path]:
    """A new folder beside `target` to fill; it becomes `target`, which must be absent or empty.

    Raises VAEError when `target` holds anything, or when it cannot be written.
    """
    target = Path(target)
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise VAEError(f"{target}: exists and is not an empty folder; choose another name or use --force")
    with _filled_beside(target) as temporary, _disk_errors(target):
        yield temporary
        os.replace(temporary, target)


@contextmanager
def replacing_directory(target: str | os.PathLike[str], is_ours: Callable[[Path], bool]) -> Iterator[Path]:
    """Like `atomic_directory`, but takes the place of an existing folder for which `is_ours` is true.

    The old folder is renamed aside, the new one renamed in, the old one deleted: a reader may for an instant
    find none, never a mixture. Raises VAEError when what stands there is something else.
    """
    target = Path(target)
    occupied = target.exists() and not (target.is_dir() and not any(target.iterdir()))
    if occupied and not is_ours(target):
        raise VAEError(f"{target}: exists and is not a bundle, so it is not replaced; choose another name")
    with _filled_beside(target) as temporary, _disk_errors(target):
        yield temporary
        old = _beside(target)
        if occupied:
            os.replace(target, old)
        try:
            os.replace(temporary, target)
        except OSError:
            if occupied:
                os.replace(old, target)
            raise
        shutil.rmtree(old, ignore_errors=True)


@contextmanager
def merging_directory(target: str | os.PathLike[str]) -> Iterator[Path]:
    """A folder beside `target` to fill; its files then move into `target`, replacing those of the same name."""
    target = Path(target)
    if target.exists() and not target.is_dir():
        raise VAEError(f"{target}: is a file, a folder was expected")
    with _filled_beside(target) as temporary, _disk_errors(target):
        yield temporary
        target.mkdir(exist_ok=True)
        for path in sorted(temporary.iterdir()):
            os.replace(path, target / path.name)


@contextmanager
def _filled_beside(target: Path) -> Iterator[Path]:
    temporary = _beside(target)
    with _disk_errors(target):
        temporary.mkdir()
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def _disk_errors(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise VAEError(f"{target}: cannot be written: {error.strerror or error}") from error


def _beside(target: Path) -> Path:
    return target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.tmp")


def sync(path: Path) -> None:
    """Wait until a file, or a folder's list of files, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
