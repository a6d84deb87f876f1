"""Opening a bundle. A reader trusts nothing: every field is checked when the bundle is opened,
every graph's hash when the graph is used.
"""

from __future__ import annotations

import json
from pathlib import Path

from vae_runtime.bundle.manifest import from_json
from vae_runtime.bundle.records import Bundle, GraphFile
from vae_runtime.errors import BundleError
from vae_runtime.fast import sha256_hex

MANIFEST = "bundle.json"
CHECK_FILE = "check.npz"


def is_bundle(path: Path) -> bool:
    """Whether a folder looks like a bundle, damaged or not: all that an export may replace."""
    try:
        return "schema" in json.loads((path / MANIFEST).read_text("utf-8"))
    except (OSError, ValueError, TypeError):
        return False


def read_bundle(path: str | Path) -> Bundle:
    """Open the folder at `path` and verify its manifest's fields and its files' sizes.

    Raises BundleError naming the file and what is wrong with it.
    """
    folder = Path(path)
    manifest = folder / MANIFEST
    if not folder.exists():
        raise BundleError(f"{folder}: no such bundle")
    if not manifest.is_file():
        raise BundleError(f"{folder}: not a bundle: a folder with a {MANIFEST} in it")
    try:
        bundle = from_json(manifest.read_text("utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BundleError(
            f"{manifest}: damaged, it is no JSON: {error}; export or copy the bundle again"
        ) from error
    except (OSError, ValueError) as error:
        raise BundleError(f"{manifest}: {error}") from error
    for variant in bundle.variants:
        for graph in (variant.encoder, variant.decoder):
            _check_size(folder / graph.file, graph)
    return bundle


def read_graph(folder: Path, graph: GraphFile) -> bytes:
    """The bytes of a graph, hashed; hand these very bytes to onnxruntime.

    Raises BundleError on a mismatch.
    """
    path = folder / graph.file
    _check_size(path, graph)
    model_bytes = path.read_bytes()
    if sha256_hex(model_bytes) != graph.sha256:
        raise BundleError(
            f"{path}: damaged: its SHA-256 is not the one in {MANIFEST}; export or copy it again"
        )
    return model_bytes


def describe_graph(name: str, model_bytes: bytes) -> GraphFile:
    """The record of a graph that is about to be written as `name`."""
    return GraphFile(name, sha256_hex(model_bytes), len(model_bytes))


def _check_size(path: Path, graph: GraphFile) -> None:
    if not path.is_file():
        raise BundleError(f"{path}: missing from the bundle")
    size = path.stat().st_size
    if size != graph.bytes:
        raise BundleError(f"{path}: damaged: {size} bytes where {MANIFEST} promises {graph.bytes}")
