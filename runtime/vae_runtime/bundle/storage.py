"""Where a bundle's files are: in a folder, or in one zip file with the same members.

A zip is untrusted input: before anything is read its members' names, number, sizes and duplicates
are checked. Members are stored, not compressed, so nothing can unpack to more than it is.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from vae_runtime.door import (
    MAX_GRAPH_BYTES,
    is_file,
    open_file,
    open_zip,
    read_limited,
    require_regular,
)
from vae_runtime.errors import BundleError

if TYPE_CHECKING:
    import zipfile

MANIFEST = "bundle.json"
# What to call a bundle that is no file.
IN_MEMORY = Path("bundle in memory")
# A whole bundle in memory or from a stream.
MAX_BUNDLE_BYTES = 2 << 30
# Characters of a file's name.
MAX_NAME = 200
# Characters that a plain name doesn't have: a bundle's files lie inside it.
PATH_CHARACTERS = frozenset("/\\:\0")

BundleSource = str | os.PathLike[str] | bytes | BinaryIO
"""What a bundle may be opened from."""


class BundleStorage(Protocol):
    """The files of one bundle."""

    @property
    def path(self) -> Path:
        """What to call the bundle."""

    def where(self, name: str) -> str:
        """What to call one of its files."""

    def size(self, name: str) -> int:
        """Bytes of a file. Raises BundleError where it is missing."""

    def opened(self, name: str) -> AbstractContextManager[BinaryIO]:
        """A file of the bundle. Raises BundleError where it is missing or no plain file, and for
        what goes wrong while it is read.
        """

    def read(self, name: str, max_bytes: int = MAX_GRAPH_BYTES) -> bytes:
        """The content of a file. Raises BundleError where it is missing, damaged or too large."""


def is_plain_name(name: str) -> bool:
    """Whether a name can only be that of a file inside the bundle."""
    is_short = 0 < len(name) <= MAX_NAME and name not in (".", "..")
    return is_short and name.isprintable() and not PATH_CHARACTERS & set(name)


def open_storage(source: BundleSource) -> BundleStorage:
    """The files of a folder, of a zip file, or of the bytes of one.

    Raises BundleError for what isn't there or is no zip file, TypeError for what can't be one.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        return ZipStorage(IN_MEMORY, bytes(source))
    if hasattr(source, "read"):
        return ZipStorage(
            IN_MEMORY, read_limited(source, MAX_BUNDLE_BYTES, str(IN_MEMORY), BundleError)
        )
    if not isinstance(source, str | os.PathLike):
        raise TypeError(
            f"path must be that of a bundle, its bytes or an open file, not {type(source).__name__}"
        )
    # Sessions are built later, perhaps when the process is in another folder.
    path = Path(source).absolute()
    if is_file(path):
        _refuse_neighbors_of_a_bundle(path)
        return ZipStorage(path)
    _require_folder(source, path)
    if not is_file(path / MANIFEST):
        inside = sorted(path.glob("*.vae"))
        hint = f"; did you mean {inside[0]}?" if inside else ""
        raise BundleError(
            f"{source}: not a bundle: a folder with a {MANIFEST} in it, or a zip of one{hint}"
        )
    return FolderStorage(path)


def _require_folder(source: str | os.PathLike[str], path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        mode = None
    except (OSError, ValueError) as error:
        # A NUL in the name, or a character that the file system lacks, is a ValueError.
        raise BundleError(f"{source}: {getattr(error, 'strerror', None) or error}") from None
    if mode is None or source == "":
        raise BundleError(f"{source}: no such bundle")
    if not stat.S_ISDIR(mode):
        require_regular(path, mode, BundleError)


def _refuse_neighbors_of_a_bundle(path: Path) -> None:
    """Raise BundleError, with what was probably meant, for files that lie beside or in bundles."""
    if path.name == MANIFEST:
        raise BundleError(f"{path}: is a file of a bundle; give the bundle, {path.parent}")
    if path.suffix == ".pt":
        raise BundleError(f"{path}: is a checkpoint; make a bundle of it: vae-export {path}")


@dataclass(frozen=True)
class FolderStorage:
    """A bundle that is a folder."""

    path: Path

    def where(self, name: str) -> str:
        return str(self.path / name)

    def size(self, name: str) -> int:
        file = self.path / name
        try:
            found = file.lstat()
        except FileNotFoundError:
            raise BundleError(f"{file}: missing from the bundle") from None
        except OSError as error:
            raise BundleError(f"{file}: {error.strerror or error}") from None
        require_regular(file, found.st_mode, BundleError)
        return found.st_size

    @contextmanager
    def opened(self, name: str) -> Iterator[BinaryIO]:
        self.size(name)
        # A link would lead out of the bundle.
        with open_file(self.path / name, follow_links=False, error=BundleError) as file:
            try:
                yield file
            except OSError as error:
                raise BundleError(f"{self.where(name)}: {error.strerror or error}") from None

    def read(self, name: str, max_bytes: int = MAX_GRAPH_BYTES) -> bytes:
        with self.opened(name) as file:
            return read_limited(file, max_bytes, self.where(name), BundleError)


@dataclass(frozen=True)
class ZipStorage:
    """A bundle that is one file, or its `content`, which is then pickled with it."""

    path: Path
    content: bytes | None = None
    _sizes: dict[str, int] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        with self._archive() as archive:
            object.__setattr__(self, "_sizes", self._checked_sizes(archive))

    def where(self, name: str) -> str:
        return f"{self.path}: {name}"

    def size(self, name: str) -> int:
        if name not in self._sizes:
            raise BundleError(f"{self.where(name)}: missing from the bundle")
        return self._sizes[name]

    @contextmanager
    def opened(self, name: str) -> Iterator[BinaryIO]:
        import zipfile

        self.size(name)
        with self._archive() as archive:
            try:
                with archive.open(name) as member:
                    opened: Any = member
                    yield opened
            except (zipfile.BadZipFile, OSError, EOFError) as error:
                # BadZipFile is a wrong checksum, or another name in front of the content.
                raise BundleError(f"{self.where(name)}: damaged: {error}") from None

    def read(self, name: str, max_bytes: int = MAX_GRAPH_BYTES) -> bytes:
        with self.opened(name) as file:
            return read_limited(file, max_bytes, self.where(name), BundleError)

    @contextmanager
    def _archive(self) -> Iterator[zipfile.ZipFile]:
        in_memory = None if self.content is None else io.BytesIO(self.content)
        with in_memory or open_file(self.path, error=BundleError) as file:
            try:
                archive = open_zip(file)
            except (OSError, ValueError) as error:
                raise BundleError(
                    f"{self.path}: not a bundle: neither a folder nor a zip of one: {error}"
                ) from None
            with archive:
                yield archive

    def _checked_sizes(self, archive: zipfile.ZipFile) -> dict[str, int]:
        from zipfile import ZIP_STORED

        sizes: dict[str, int] = {}
        for member in archive.infolist():
            name = member.filename
            if not is_plain_name(name):
                raise BundleError(f"{self.path}: the member {name!r} is not a plain name")
            if name in sizes:
                raise BundleError(f"{self.path}: the member {name!r} is there twice")
            is_encrypted = bool(member.flag_bits & 1)
            if member.compress_type != ZIP_STORED or is_encrypted:
                raise BundleError(
                    f"{self.where(name)}: compressed or encrypted; a bundle's members are stored"
                )
            if member.file_size != member.compress_size:
                raise BundleError(f"{self.where(name)}: damaged: its size cannot be right")
            sizes[name] = member.file_size
        if MANIFEST not in sizes:
            raise BundleError(f"{self.path}: not a bundle: there is no {MANIFEST} in it")
        return sizes
