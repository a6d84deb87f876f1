"""Fetch MNIST once into the user's cache directory, verified by SHA-256 of the uncompressed files."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import os
import sys
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from vae_runtime.errors import VAEError
from vae_runtime.files import atomic_file

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
ATTEMPTS = 3  # of each mirror, with a pause that doubles


def cache_directory() -> Path:
    """$VAE_EDGE_CACHE, else vae-edge in $XDG_CACHE_HOME, else in ~/.cache."""
    if own := os.environ.get("VAE_EDGE_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vae-edge"


def fetch(directory: Path | None = None, mirrors: Sequence[str] = MIRRORS, pause: float = 1.0) -> Path:
    """The folder with MNIST's four gzipped IDX files; what is missing or damaged is downloaded.

    Raises VAEError, naming every mirror's reason, when no mirror gave the right bytes.
    """
    folder = directory or cache_directory() / "mnist"
    for name, sha256 in SHA256.items():
        target = folder / f"{name}.gz"
        if not (target.is_file() and _digest(target.read_bytes()) == sha256):
            _place(target, _download(target.name, sha256, mirrors, pause))
    return folder


def _place(target: Path, content: bytes) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise VAEError(f"{target.parent}: cannot be created: {error.strerror}") from None
    with atomic_file(target) as temporary:
        Path(temporary).write_bytes(content)


def _download(name: str, sha256: str, mirrors: Sequence[str], pause: float) -> bytes:
    reasons = []
    for mirror in mirrors:
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(pause * 2 ** (attempt - 1))
            try:
                content = _get(mirror + name)
            except (OSError, http.client.HTTPException) as error:
                reasons.append(f"{mirror}: {error}")
                if isinstance(error, urllib.error.HTTPError) and error.code in (403, 404, 410):
                    break
                continue
            if _digest(content) == sha256:
                return content
            reasons.append(f"{mirror}: the content is damaged (wrong SHA-256)")
    raise VAEError(
        f"{name} could not be downloaded ({'; '.join(dict.fromkeys(reasons))}); "
        f"put MNIST's four files into a folder and pass --data FOLDER"
    )


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as response:
        size = int(response.headers.get("Content-Length") or 0)
        chunks = []
        with tqdm(
            total=size or None, unit="B", unit_scale=True, desc=url.rsplit("/", 1)[-1], disable=not sys.stderr.isatty()
        ) as bar:
            while chunk := response.read(1 << 16):
                chunks.append(chunk)
                bar.update(len(chunk))
    content = b"".join(chunks)
    if size and len(content) != size:
        raise http.client.IncompleteRead(content, size - len(content))
    return content


def _digest(compressed: bytes) -> str:
    try:
        return hashlib.sha256(gzip.decompress(compressed)).hexdigest()
    except (OSError, EOFError, zlib.error):
        return ""
