"""Temporary names beside a target, and what runs that were killed left there.

Whoever writes holds a lock on what it writes, which the system lets go when the process ends,
however it ends. So a leftover is known by its name and by a lock that nobody holds.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:
    # Windows has no such locks; there leftovers stay, hidden.
    fcntl = None  # type: ignore[assignment]

TEMPORARY = "tmp"
ASIDE = "old"
RANDOM_BYTES = 4
TEMPORARY_NAME = re.compile(rf"\..+\.[0-9a-f]{{{2 * RANDOM_BYTES}}}\.{TEMPORARY}")
# Linux's renameat2(2).
RENAME_EXCHANGE = 2
AT_FDCWD = -100


def name_beside(target: Path, kind: str = TEMPORARY) -> Path:
    """A hidden name beside `target` that nobody has."""
    return target.with_name(f".{target.name}.{os.urandom(RANDOM_BYTES).hex()}.{kind}")


@contextmanager
def claimed_beside(target: Path, is_folder: bool) -> Iterator[Path]:
    """A new file or folder beside `target`, locked; leftovers of runs that were killed are removed.

    The caller removes or renames it. Raises OSError where it cannot be made.
    """
    temporary = name_beside(target)
    with contextlib.ExitStack() as locks:
        # Nobody else may look for leftovers before the new one is locked. In a folder that is
        # itself a temporary one nobody does, and this process holds its lock already.
        is_shared = TEMPORARY_NAME.fullmatch(target.parent.name) is None
        with _locked(target.parent, wait=True) if is_shared else contextlib.nullcontext():
            _remove_leftovers(target)
            if is_folder:
                temporary.mkdir()
            else:
                temporary.touch(exist_ok=False)
            locks.enter_context(_locked(temporary, wait=False))
        yield temporary


def put_back(target: Path) -> None:
    """Give a folder its name again that a run was killed over while it replaced it."""
    if target.exists() or not target.parent.is_dir():
        return
    for path in _beside(target, ASIDE):
        with contextlib.suppress(OSError):
            os.replace(path, target)
            return


def exchange(first: Path, second: Path) -> bool:
    """Exchange the names of two files or folders in one step; False where the system cannot."""
    if sys.platform != "linux":
        return False
    # Only replacing a bundle needs it.
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "renameat2"):
        return False
    names = os.fsencode(first), os.fsencode(second)
    # A file system that lacks it says EINVAL, an old kernel ENOSYS; then there is another way.
    return bool(libc.renameat2(AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_EXCHANGE) == 0)


def _remove_leftovers(target: Path) -> None:
    is_whole = target.exists()
    kinds = (TEMPORARY, ASIDE) if is_whole else (TEMPORARY,)
    for kind in kinds:
        for path in _beside(target, kind):
            with _locked(path, wait=False) as is_ours:
                if is_ours:
                    _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
        return
    with contextlib.suppress(OSError):
        path.unlink()


def _beside(target: Path, kind: str) -> list[Path]:
    """What has a name of `name_beside`, sorted."""
    pattern = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{{2 * RANDOM_BYTES}}}\.{kind}")
    try:
        names = os.listdir(target.parent)
    except OSError:
        return []
    return [target.with_name(name) for name in sorted(names) if pattern.fullmatch(name)]


@contextmanager
def _locked(path: Path, wait: bool) -> Iterator[bool]:
    """Hold the lock of a file or folder; whether it was to be had."""
    handle = -1
    try:
        if fcntl is not None:
            handle = os.open(path, os.O_RDONLY)
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        is_ours = fcntl is not None
    except OSError:
        # Somebody holds it, or the file system has no locks.
        is_ours = False
    try:
        yield is_ours
    finally:
        if handle >= 0:
            os.close(handle)
