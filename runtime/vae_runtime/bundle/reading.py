"""Opening a bundle. A reader trusts nothing: every field is checked when the bundle is opened,
every graph's hash when the graph is used.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

from vae_runtime.bundle.manifest import from_json
from vae_runtime.bundle.records import Bundle, GraphFile
from vae_runtime.bundle.storage import (
    MANIFEST,
    BundleSource,
    BundleStorage,
    FolderStorage,
    ZipStorage,
    open_storage,
)
from vae_runtime.door import (
    LARGE_BYTES,
    MAX_GRAPH_BYTES,
    MAX_JSON_BYTES,
    parse_json,
    read_file,
)
from vae_runtime.errors import BundleError, VAEError
from vae_runtime.fast import sha256_hex, sha256_of_file

CHECK_FILE = "check.npz"


def is_bundle(path: Path) -> bool:
    """Whether a folder looks like a bundle, damaged or not: all that an export may replace."""
    try:
        values = parse_json(read_file(path / MANIFEST, MAX_JSON_BYTES))
    except (VAEError, ValueError):
        return False
    return isinstance(values, dict) and "schema" in values


def read_bundle(source: BundleSource | BundleStorage) -> Bundle:
    """Open a bundle and verify its manifest's fields and its files' sizes.

    Raises BundleError naming the file and what is wrong with it.
    """
    storage = as_storage(source)
    manifest = storage.where(MANIFEST)
    try:
        bundle = from_json(storage.read(MANIFEST, MAX_JSON_BYTES))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BundleError(
            f"{manifest}: damaged, it is no JSON: {error}; export or copy the bundle again"
        ) from error
    except ValueError as error:
        raise BundleError(f"{manifest}: {error}") from error
    for variant in bundle.variants:
        for graph in (variant.encoder, variant.decoder):
            _check_size(storage, graph)
    return bundle


def read_graph(source: BundleSource | BundleStorage, graph: GraphFile) -> bytes:
    """The bytes of a graph, hashed; hand these very bytes to onnxruntime.

    Raises BundleError on a mismatch.
    """
    storage = as_storage(source)
    _check_size(storage, graph)
    if graph.bytes > LARGE_BYTES:
        # What is damaged costs no memory.
        with storage.opened(graph.file) as file:
            _require_hash(storage, graph, sha256_of_file(file))
    model_bytes = storage.read(graph.file, MAX_GRAPH_BYTES)
    _require_hash(storage, graph, sha256_hex(model_bytes))
    return model_bytes


def as_storage(source: BundleSource | BundleStorage) -> BundleStorage:
    """The files of a bundle, opened where they aren't yet."""
    if isinstance(source, FolderStorage | ZipStorage):
        return source
    return open_storage(cast(BundleSource, source))


def describe_graph(name: str, model_bytes: bytes) -> GraphFile:
    """The record of a graph that is about to be written as `name`."""
    return GraphFile(name, sha256_hex(model_bytes), len(model_bytes))


def _require_hash(storage: BundleStorage, graph: GraphFile, found: str) -> None:
    if found != graph.sha256:
        raise BundleError(
            f"{storage.where(graph.file)}: damaged: its SHA-256 is not the one in {MANIFEST}; "
            "export or copy it again"
        )


def _check_size(storage: BundleStorage, graph: GraphFile) -> None:
    size = storage.size(graph.file)
    if size != graph.bytes:
        raise BundleError(
            f"{storage.where(graph.file)}: damaged: {size} bytes where {MANIFEST} promises "
            f"{graph.bytes}"
        )
