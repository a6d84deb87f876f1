"""MNIST, fetched once into the user's cache folder and verified.

The SHA-256 is that of the uncompressed files, for mirrors compress them differently.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import sys
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from vae_runtime.errors import VAEError
from vae_runtime.formats.files import atomic_file, make_folder
from vae_train.cache import cache_folder

MIRRORS = (
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
)
SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
ATTEMPTS_PER_MIRROR = 3
# Statuses after which a mirror is not asked again: forbidden, not found, gone.
FINAL_STATUSES = (403, 404, 410)
TIMEOUT_SECONDS = 30
READ_BYTES = 1 << 16


def fetch(folder: Path | None = None, mirrors: Sequence[str] = MIRRORS, pause: float = 1.0) -> Path:
    """The folder with MNIST's four gzipped IDX files; what is missing or damaged is downloaded.

    `pause` is the seconds before a mirror is asked for the second time; it doubles each time.
    Raises VAEError, naming every mirror's reason, when no mirror gave the right bytes.
    """
    folder = folder or cache_folder() / "mnist"
    for name, sha256 in SHA256.items():
        target = folder / f"{name}.gz"
        if not (target.is_file() and _digest(target.read_bytes()) == sha256):
            content = _download(target.name, sha256, mirrors, pause)
            make_folder(folder)
            with atomic_file(target) as temporary:
                temporary.write_bytes(content)
    return folder


def _download(name: str, sha256: str, mirrors: Sequence[str], pause: float) -> bytes:
    """The file from the first mirror that has the right bytes."""
    reasons: list[str] = []
    for mirror in mirrors:
        content = _download_from(mirror, name, sha256, pause, reasons)
        if content is not None:
            return content
    each_once = "; ".join(dict.fromkeys(reasons))
    raise VAEError(
        f"{name} could not be downloaded ({each_once}); "
        "put MNIST's four files into a folder and pass --data FOLDER"
    )


def _download_from(
    mirror: str, name: str, sha256: str, pause: float, reasons: list[str]
) -> bytes | None:
    """The right bytes, or None, and why is added to `reasons`."""
    for attempt in range(ATTEMPTS_PER_MIRROR):
        if attempt:
            time.sleep(pause * 2 ** (attempt - 1))
        try:
            content = _get(mirror + name)
        except (OSError, http.client.HTTPException) as error:
            reasons.append(f"{mirror}: {error}")
            if isinstance(error, urllib.error.HTTPError) and error.code in FINAL_STATUSES:
                return None
            continue
        if _digest(content) == sha256:
            return content
        reasons.append(f"{mirror}: the content is damaged (wrong SHA-256)")
    return None


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response:
        size = int(response.headers.get("Content-Length") or 0)
        content = _read_with_progress(response, url.rsplit("/", 1)[-1], size)
    if size and len(content) != size:
        raise http.client.IncompleteRead(content, size - len(content))
    return content


def _read_with_progress(response: http.client.HTTPResponse, name: str, size: int) -> bytes:
    bar = tqdm(
        total=size or None,
        unit="B",
        unit_scale=True,
        desc=name,
        disable=not sys.stderr.isatty(),
    )
    chunks = []
    with bar:
        chunk = response.read(READ_BYTES)
        while chunk:
            chunks.append(chunk)
            bar.update(len(chunk))
            chunk = response.read(READ_BYTES)
    return b"".join(chunks)


def _digest(compressed: bytes) -> str:
    """SHA-256 of the uncompressed content; empty for what is no gzip file."""
    try:
        return hashlib.sha256(gzip.decompress(compressed)).hexdigest()
    except (OSError, EOFError, zlib.error):
        return ""
