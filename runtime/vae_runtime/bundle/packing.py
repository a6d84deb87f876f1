"""A bundle as one zip: stored, and the same bytes every time."""

from __future__ import annotations

import contextlib
import io
import os
import zipfile
from collections.abc import Mapping
from typing import BinaryIO

from vae_runtime.bundle.reading import CHECK_FILE, as_storage, read_bundle
from vae_runtime.bundle.storage import MANIFEST, BundleSource, BundleStorage
from vae_runtime.errors import BundleError

# The earliest that a zip can say, so that its bytes don't depend on the clock.
ZIP_DATE = (1980, 1, 1, 0, 0, 0)


def write_zip(file: str | os.PathLike[str] | BinaryIO, members: Mapping[str, bytes]) -> None:
    """Write files into one zip, in the order of their names."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            archive.writestr(zipfile.ZipInfo(name, ZIP_DATE), members[name])


def packed(source: BundleSource) -> bytes:
    """The bytes of a bundle as a zip, which `load` takes on a machine that lacks its files.

    Raises BundleError for a missing or damaged bundle.
    """
    file = io.BytesIO()
    write_zip(file, bundle_files(source))
    return file.getvalue()


def bundle_files(source: BundleSource | BundleStorage) -> dict[str, bytes]:
    """The files that belong to a bundle, by name.

    Raises BundleError for a missing or damaged bundle.
    """
    storage = as_storage(source)
    bundle = read_bundle(storage)
    names = {MANIFEST}
    for variant in bundle.variants:
        names |= {variant.encoder.file, variant.decoder.file}
    members = {name: storage.read(name) for name in names}
    # Only `VAE.check` needs it, and says so where it is missing.
    with contextlib.suppress(BundleError):
        members[CHECK_FILE] = storage.read(CHECK_FILE)
    return members
