"""Output that appears whole or not at all: written beside its target, then renamed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vae_runtime.errors import VAEError
from vae_runtime.formats.leftovers import ASIDE, claimed_beside, exchange, name_beside, put_back

# A folder of samples has thousands, each of which would cost a write.
MAX_SYNCED_FILES = 100


@contextmanager
def atomic_file(target: str | os.PathLike[str]) -> Iterator[Path]:
    """A path to write to, which becomes `target` when the block ends without an exception.

    Raises VAEError naming `target` when the folder is missing or read-only, or the disk is full.
    """
    target = Path(target)
    with _disk_errors(target):
        if target.is_dir():
            raise VAEError(f"{target}: is a folder, a file was expected")
        # A folder that cannot be written is found now rather than after minutes of work.
        with claimed_beside(target, is_folder=False) as temporary:
            try:
                yield temporary
                sync(temporary)
                os.replace(temporary, target)
                sync(target.parent)
            finally:
                temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(target: str | os.PathLike[str]) -> Iterator[Path]:
    """A new folder beside `target` to fill; it becomes `target`, which must be absent or empty.

    Raises VAEError when `target` holds anything, or when it cannot be written.
    """
    target = Path(target)
    if _is_occupied(target):
        raise VAEError(
            f"{target}: exists and is not an empty folder; choose another name or use --force"
        )
    with _new_folder_beside(target) as temporary, _disk_errors(target):
        yield temporary
        _sync_files(temporary)
        os.replace(temporary, target)


@contextmanager
def replacing_folder(
    target: str | os.PathLike[str], may_replace: Callable[[Path], bool], kind: str
) -> Iterator[Path]:
    """Like `atomic_folder`, but replaces an existing folder for which `may_replace` is true.

    Old and new are exchanged in one step where the system can; elsewhere the old folder is renamed
    aside first, and a reader may for an instant find none, never a mixture. Raises VAEError when
    what stands there is no `kind`.
    """
    target = Path(target)
    put_back(target)
    occupied = _is_occupied(target)
    if occupied and not may_replace(target):
        raise VAEError(
            f"{target}: exists and is not a {kind}, so it is not replaced; choose another name"
        )
    with _new_folder_beside(target) as temporary, _disk_errors(target):
        yield temporary
        _sync_files(temporary)
        if occupied and exchange(temporary, target):
            return
        old = name_beside(target, ASIDE)
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
def merging_folder(target: str | os.PathLike[str]) -> Iterator[Path]:
    """A folder to fill, whose files then move into `target`.

    They replace their namesakes, and files named like them, by a number, that are left of an
    earlier run go; everything else in `target` stays.
    """
    target = Path(target)
    if target.exists() and not target.is_dir():
        raise VAEError(f"{target}: is a file, a folder was expected")
    with _new_folder_beside(target) as temporary, _disk_errors(target):
        yield temporary
        target.mkdir(exist_ok=True)
        suffixes = {path.suffix for path in temporary.iterdir()}
        for path in target.iterdir():
            if path.suffix in suffixes and path.stem.isdecimal():
                path.unlink()
        for path in sorted(temporary.iterdir()):
            os.replace(path, target / path.name)


def make_folder(path: Path) -> None:
    """Make a folder and its parents where they aren't there. Raises VAEError naming it."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise VAEError(f"{path}: cannot be created: {error.strerror}") from None


def sync(path: Path) -> None:
    """Wait until a file, or a folder's list of files, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _is_occupied(target: Path) -> bool:
    """Whether something stands at `target` that isn't an empty folder."""
    if not target.exists():
        return False
    return not target.is_dir() or any(target.iterdir())


@contextmanager
def _new_folder_beside(target: Path) -> Iterator[Path]:
    with _disk_errors(target), claimed_beside(target, is_folder=True) as temporary:
        try:
            yield temporary
        finally:
            # After an exchange, this is the old folder.
            shutil.rmtree(temporary, ignore_errors=True)


def _sync_files(folder: Path) -> None:
    """Wait until the files of a folder are on the disk, where they are few, as a bundle's are."""
    files = [path for path in folder.iterdir() if path.is_file()]
    if len(files) <= MAX_SYNCED_FILES:
        for path in files:
            sync(path)


@contextmanager
def _disk_errors(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise VAEError(f"{target}: cannot be written: {error.strerror or error}") from error
