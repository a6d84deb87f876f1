"""Writers that run until they are killed: python -m tests.crashes.writers KIND TARGET.

Each writes two versions of its output in turn, the whole of which can be told from a part.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import numpy as np
from tests.runtime.helpers import DATA

from vae_runtime.bundle import is_bundle
from vae_runtime.formats.files import atomic_file, atomic_folder, replacing_folder
from vae_runtime.formats.latents import Latents, latents_bytes
from vae_runtime.formats.npy import write_npy
from vae_runtime.formats.png import save_png
from vae_runtime.formats.sheets import Pixels, sheet

BUNDLES = (DATA / "tiny.vae", DATA / "color.vae")
IMAGES = np.random.default_rng(0).random((64, 1, 28, 28), np.float32)
READY = "ready"


def write_bundle(target: Path, version: int) -> None:
    with replacing_folder(target, is_bundle, "bundle") as temporary:
        for path in sorted(BUNDLES[version].iterdir()):
            shutil.copy(path, temporary / path.name)


def write_array(target: Path, version: int) -> None:
    images = IMAGES[: 32 + 32 * version]
    with atomic_file(target) as temporary, temporary.open("wb") as file:
        write_npy(file, [images[:10], images[10:]], images.shape)


def write_picture(target: Path, version: int) -> None:
    save_png(sheet(IMAGES[: 32 + 32 * version]), target)


def write_folder(target: Path, version: int) -> None:
    if target.exists():
        # Taken away in one step, or a kill would find half of it deleted.
        os.replace(target, Path(tempfile.mkdtemp()) / target.name)
    with atomic_folder(target) as folder:
        for i, image in enumerate(IMAGES[:8]):
            save_png(Pixels(sheet(image)), folder / f"{i}.png")


def write_zip(target: Path, version: int) -> None:
    rows = 32 + 32 * version
    z = IMAGES.reshape(len(IMAGES), -1)[:rows]
    latents = Latents(tuple(map(str, range(rows))), z, -z)
    with atomic_file(target) as temporary:
        temporary.write_bytes(latents_bytes(latents, "npz"))


WRITERS: dict[str, Callable[[Path, int], None]] = {
    "bundle": write_bundle,
    "array": write_array,
    "picture": write_picture,
    "folder": write_folder,
    "zip": write_zip,
}


def main() -> None:
    kind, target = sys.argv[1], Path(sys.argv[2])
    writer = WRITERS[kind]
    writer(target, 0)
    print(READY, flush=True)
    for version in cycle((1, 0)):
        writer(target, version)


if __name__ == "__main__":
    main()
