"""The one door for what comes from outside: files are regular ones, and nothing is read before its
size is known and within a limit.

docs/reliability.md lists the limits. Each is there so that a file that is refused costs at most
100 MiB and two seconds.
"""

from __future__ import annotations

import os
import stat
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from vae_runtime.errors import VAEError

if TYPE_CHECKING:
    import zipfile

MIB = 1 << 20
# Of a bundle: graphs may be as large as Stable Diffusion's, in 32 bits.
MAX_GRAPH_BYTES = 512 * MIB
# check.npz holds eight images with their outputs.
MAX_CHECK_BYTES = 64 * MIB
# A file that becomes Python's objects, each of which takes many times its text.
MAX_JSON_BYTES = 16 * MIB
MAX_JSON_CONTAINERS = 200_000
MAX_JSON_VALUES = 1_500_000
# Latents as text, which takes a second to read; numbers in a latent file of any format.
MAX_CSV_BYTES = 16 * MIB
MAX_LATENT_NUMBERS = 1 << 24
# An image file, which Pillow reads as it goes. A raw photograph has a tenth of it.
MAX_IMAGE_BYTES = 256 * MIB
# Pixels that are decoded: 4 bytes each, and WebP's decoder keeps several pictures.
MAX_PIXELS = 1 << 24
# EMNIST by class, the largest set in MNIST's format, has 547 MB.
MAX_IDX_BYTES = 768 * MIB
# An array in a .npz, which is not compressed any more once it is read.
MAX_ARRAY_BYTES = 1024 * MIB
MAX_MEMBERS = 64  # Of a zip.
ZIP_END, ZIP_END_BYTES = b"PK\x05\x06", 22
ZIP64_LOCATOR, ZIP64_LOCATOR_BYTES = b"PK\x06\x07", 20
MAX_ZIP_COMMENT = 0xFFFF
# What is looked at twice rather than kept: first whether it is right, then for its content.
LARGE_BYTES = 64 * MIB
BLOCK_BYTES = MIB

# A pipe without a writer is opened without waiting, and then refused. Windows has neither.
OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
NO_LINKS = getattr(os, "O_NOFOLLOW", 0)
KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISLNK, "a link"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


def open_file(
    path: str | os.PathLike[str],
    max_bytes: int | None = None,
    *,
    follow_links: bool = True,
    error: type[VAEError] = VAEError,
) -> BinaryIO:
    """A regular file of at most `max_bytes`, opened for reading.

    What is checked is what was opened, whatever its name means by then. Raises `error` naming the
    file when it is missing, too large, or a folder, pipe, device or socket, and, without
    `follow_links`, for a link.
    """
    try:
        handle = os.open(path, OPEN_FLAGS | (0 if follow_links else NO_LINKS))
    except FileNotFoundError:
        raise error(f"{path}: no such file") from None
    except (OSError, ValueError) as reason:
        # A name with a NUL in it, or one that the file system's encoding lacks, is a ValueError.
        if not follow_links and Path(path).is_symlink():
            raise error(f"{path}: is a link, a file was expected") from None
        raise error(f"{path}: {getattr(reason, 'strerror', None) or reason}") from None
    try:
        found = os.fstat(handle)
        require_regular(path, found.st_mode, error)
        if max_bytes is not None and found.st_size > max_bytes:
            raise error(_too_large(str(path), max_bytes))
    except VAEError:
        os.close(handle)
        raise
    return os.fdopen(handle, "rb")


def read_file(
    path: str | os.PathLike[str],
    max_bytes: int,
    *,
    follow_links: bool = True,
    error: type[VAEError] = VAEError,
) -> bytes:
    """The content of a regular file of at most `max_bytes`; raises as `open_file` does."""
    with open_file(path, max_bytes, follow_links=follow_links, error=error) as file:
        try:
            return read_limited(file, max_bytes, str(path), error)
        except OSError as reason:
            raise error(f"{path}: {reason.strerror or reason}") from None


def read_limited(file: Any, max_bytes: int, name: str, error: type[VAEError] = VAEError) -> bytes:
    """What an open file or stream holds, at most `max_bytes`.

    Raises `error` naming it for more, and TypeError where it was opened for text.
    """
    # A buffer as large as the limit would be made for a small file too.
    wanted = min(max_bytes, _known_size(file)) + 1
    content = file.read(wanted)
    if not isinstance(content, bytes | bytearray):
        raise TypeError(f"{name} must give bytes; open it in binary mode")
    if len(content) > max_bytes:
        raise error(_too_large(name, max_bytes))
    return bytes(content)


def _known_size(file: Any) -> int:
    """The size of a file on the disk; MAX_GRAPH_BYTES, the largest limit, for other streams."""
    try:
        found = os.fstat(file.fileno())
    except (OSError, AttributeError, ValueError):
        # What lies in memory has no descriptor.
        return MAX_GRAPH_BYTES
    return found.st_size if stat.S_ISREG(found.st_mode) else MAX_GRAPH_BYTES


def require_regular(
    path: str | os.PathLike[str], mode: int, error: type[VAEError] = VAEError
) -> None:
    """Raise `error` where the mode of `os.stat` is not that of a regular file."""
    for is_kind, name in KINDS:
        if is_kind(mode):
            raise error(f"{path}: is {name}, a file was expected")


def parse_json(content: bytes) -> Any:
    """The value of a JSON text. Raises ValueError for what is no JSON, for keys that stand twice,
    and for more values than MAX_JSON_VALUES.
    """
    import json

    if len(content) > MAX_JSON_BYTES:
        raise ValueError(f"more than {MAX_JSON_BYTES} bytes of JSON")
    containers = content.count(b"[") + content.count(b"{")
    if containers > MAX_JSON_CONTAINERS or content.count(b",") > MAX_JSON_VALUES:
        raise ValueError("too many values for a JSON text; use .npy or .npz for large data")
    try:
        return json.loads(content.decode("utf-8-sig"), object_pairs_hook=_object)
    except RecursionError:
        # Python's own limit of nesting, some hundreds.
        raise ValueError("nested too deeply") from None


def open_zip(file: BinaryIO) -> zipfile.ZipFile:
    """A zip whose list of members is short, which zipfile reads as a whole.

    Raises ValueError for anything else.
    """
    import zipfile

    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - ZIP_END_BYTES - MAX_ZIP_COMMENT))
    tail = file.read()
    place = tail.rfind(ZIP_END)
    if place < 0 or len(tail) - place < ZIP_END_BYTES:
        raise ValueError("no zip file, or one that is cut off")
    members, list_bytes = struct.unpack("<10xHI", tail[place : place + 16])
    is_zip64 = tail[max(0, place - ZIP64_LOCATOR_BYTES) : place].startswith(ZIP64_LOCATOR)
    if is_zip64 or members > MAX_MEMBERS or list_bytes > MIB:
        raise ValueError(f"{members} members, more than {MAX_MEMBERS}")
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, NotImplementedError, struct.error) as error:
        # UnicodeDecodeError, for names, is a ValueError.
        raise ValueError(str(error)) from None
    if len(archive.infolist()) > MAX_MEMBERS:
        raise ValueError(f"{members} members, more than {MAX_MEMBERS}")
    return archive


def is_file(path: Path) -> bool:
    """Whether a path names a file; False where no file can have that name."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def is_folder(path: Path) -> bool:
    """Whether a path names a folder; False where no folder can have that name."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    seen = set()
    for key, _ in pairs:
        if key in seen:
            raise ValueError(f"the key {key!r} is there twice")
        seen.add(key)
    return found


def _too_large(name: str, max_bytes: int) -> str:
    return f"{name}: more than {max_bytes / MIB:g} MiB, which is too large for this kind of file"
