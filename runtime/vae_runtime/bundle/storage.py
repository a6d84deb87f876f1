"""Where a bundle's files are: in a folder, or in one zip file with the same members.

A zip is untrusted input: before anything is read its members' names, number, sizes and duplicates
are checked. Members are stored, not compressed, so nothing can unpack to more than it is.
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from vae_runtime.errors import BundleError

if TYPE_CHECKING:
    import zipfile

MANIFEST = "bundle.json"
MAX_MEMBERS = 64
# Bytes; bundle.json of many labels may be some megabytes, a graph of a large network hundreds.
MAX_MEMBER_BYTES = 2 << 30
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

    def read(self, name: str) -> bytes:
        """The content of a file. Raises BundleError where it is missing or cannot be read."""


def is_plain_name(name: str) -> bool:
    """Whether a name can only be that of a file inside the bundle."""
    return name not in ("", ".", "..") and not PATH_CHARACTERS & set(name)


def open_storage(source: BundleSource) -> BundleStorage:
    """The files of a folder, of a zip file, or of the bytes of one.

    Raises BundleError for what isn't there or is no zip file.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        return ZipStorage(Path("bundle in memory"), bytes(source))
    if not isinstance(source, str | os.PathLike):
        return ZipStorage(Path("bundle in memory"), source.read())
    # Sessions are built later, perhaps when the process is in another folder.
    path = Path(source).absolute()
    if path.is_file():
        _refuse_neighbors_of_a_bundle(path)
        return ZipStorage(path)
    if not path.exists() or source == "":
        raise BundleError(f"{source}: no such bundle")
    if not (path / MANIFEST).is_file():
        inside = sorted(path.glob("*.vae"))
        hint = f"; did you mean {inside[0]}?" if inside else ""
        raise BundleError(
            f"{source}: not a bundle: a folder with a {MANIFEST} in it, or a zip of one{hint}"
        )
    return FolderStorage(path)


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
        if not file.is_file():
            raise BundleError(f"{file}: missing from the bundle")
        return file.stat().st_size

    def read(self, name: str) -> bytes:
        self.size(name)
        try:
            return (self.path / name).read_bytes()
        except OSError as error:
            raise BundleError(f"{self.path / name}: {error.strerror or error}") from error


@dataclass(frozen=True)
class ZipStorage:
    """A bundle that is one file, or its `content`, which is then pickled with it."""

    path: Path
    content: bytes | None = None
    _sizes: dict[str, int] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        with self._opened() as archive:
            object.__setattr__(self, "_sizes", self._checked_sizes(archive))

    def where(self, name: str) -> str:
        return f"{self.path}: {name}"

    def size(self, name: str) -> int:
        if name not in self._sizes:
            raise BundleError(f"{self.where(name)}: missing from the bundle")
        return self._sizes[name]

    def read(self, name: str) -> bytes:
        import zipfile

        self.size(name)
        try:
            with self._opened() as archive:
                return archive.read(name)
        except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, KeyError) as error:
            raise BundleError(f"{self.where(name)}: damaged: {error}") from error

    def _opened(self) -> zipfile.ZipFile:
        # Only here: most bundles are folders.
        import zipfile

        source = self.path if self.content is None else io.BytesIO(self.content)
        try:
            return zipfile.ZipFile(source)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise BundleError(
                f"{self.path}: not a bundle: neither a folder nor a zip of one: {error}"
            ) from None

    def _checked_sizes(self, archive: zipfile.ZipFile) -> dict[str, int]:
        from zipfile import ZIP_STORED

        members = archive.infolist()
        if len(members) > MAX_MEMBERS:
            raise BundleError(f"{self.path}: {len(members)} members, more than {MAX_MEMBERS}")
        sizes: dict[str, int] = {}
        for member in members:
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
            if member.file_size > MAX_MEMBER_BYTES or member.file_size != member.compress_size:
                raise BundleError(f"{self.where(name)}: damaged: its size cannot be right")
            sizes[name] = member.file_size
        if MANIFEST not in sizes:
            raise BundleError(f"{self.path}: not a bundle: there is no {MANIFEST} in it")
        return sizes
