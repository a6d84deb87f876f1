"""Bundles: their files spoiled with hashes set right, fields of bundle.json, check.npz."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from tests.fuzz.harness import Case, Fuzzer, WrongAnswerError
from tests.fuzz.mutators import spoiled_bytes, spoiled_value
from tests.runtime.helpers import DATA, zipped

import vae_runtime
from vae_runtime.bundle.storage import MANIFEST

SAMPLES = 2
CHECK = "check.npz"
COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


def exercise(bundle: Path | bytes) -> None:
    """Load a bundle and use all of it; what comes out must be right."""
    with vae_runtime.load(bundle, provider="cpu", threads=1) as vae:
        vae.verify()
        images = vae.sample(SAMPLES, seed=0)
        if images.shape != (SAMPLES, *vae.image_shape) or not _is_image(images):
            raise WrongAnswerError(f"images {images.shape} from {images.min()} to {images.max()}")
        z_mean, z_log_var = vae.encode(images)
        if not np.isfinite(z_mean).all() or not np.isfinite(z_log_var).all():
            raise WrongAnswerError("latents are not finite")
        vae.score(images)
        for label in list(vae.labels)[:2]:
            drawn = vae.sample_label(label, 1, seed=0)
            if not _is_image(drawn):
                raise WrongAnswerError("a label's images are none")
            vae.interpolate(label, label, 2)
        vae.check()


def rehashed(bundle: Path) -> None:
    """Set the sizes and hashes of the graphs right."""
    manifest = json.loads((bundle / MANIFEST).read_text())
    for variant in manifest["variants"]:
        for part in ("encoder", "decoder"):
            content = (bundle / variant[part]["file"]).read_bytes()
            variant[part]["bytes"] = len(content)
            variant[part]["sha256"] = hashlib.sha256(content).hexdigest()
    (bundle / MANIFEST).write_text(json.dumps(manifest))


def _is_image(images: Any) -> bool:
    return bool(np.isfinite(images).all() and images.min() >= 0 and images.max() <= 1)


def _prepare_files(folder: Path) -> Case:
    original = DATA / "tiny.vae"
    names = sorted(path.name for path in original.iterdir())

    def case(rng: Random) -> None:
        bundle = Path(shutil.copytree(original, folder / "bundle.vae", dirs_exist_ok=True))
        name = rng.choice(names)
        file = bundle / name
        file.write_bytes(spoiled_bytes(file.read_bytes(), rng))
        if name != MANIFEST:
            rehashed(bundle)
        if rng.random() < 0.2:
            exercise(spoiled_zip(bundle, folder / "bundle.zip", rng))
        else:
            exercise(bundle)

    return case


def spoiled_zip(bundle: Path, file: Path, rng: Random) -> bytes:
    content = zipped(bundle, file).read_bytes()
    if rng.random() < 0.5:
        return content
    # The list of members, where zip files go wrong.
    tail = rng.randrange(1, 600)
    return content[:-tail] + spoiled_bytes(content[-tail:], rng)


def _prepare_manifests(folder: Path) -> Case:
    original = json.loads((DATA / "tiny.vae" / MANIFEST).read_text())
    bundle = Path(shutil.copytree(DATA / "tiny.vae", folder / "bundle.vae"))

    def case(rng: Random) -> None:
        values = spoiled_value(original, rng)
        if rng.random() < 0.3:
            values = spoiled_value(values, rng)
        try:
            text = json.dumps(values)
        except ValueError:
            # A whole number of too many digits for Python: its spelling in JSON.
            text = json.dumps(original).replace('"count": ', '"count": 1' + "0" * 5000, 1)
        (bundle / MANIFEST).write_text(text, "utf-8", "surrogatepass")
        exercise(bundle)

    return case


def _prepare_checks(folder: Path) -> Case:
    bundle = Path(shutil.copytree(DATA / "tiny.vae", folder / "bundle.vae"))
    with np.load(bundle / CHECK) as stored:
        arrays = {name: stored[name] for name in stored.files}

    def case(rng: Random) -> None:
        changed = dict(arrays)
        name = rng.choice(list(changed))
        changed[name] = odd_array(changed[name], rng)
        if rng.random() < 0.1:
            del changed[name]
        content = _npz(changed, rng)
        if rng.random() < 0.5:
            content = spoiled_bytes(content, rng)
        (bundle / CHECK).write_bytes(content)
        exercise(bundle)

    return case


def odd_array(array: Any, rng: Random) -> Any:
    """The array as it is, or of another type, shape or content."""
    kinds: list[Callable[[], Any]] = [
        lambda: array,
        lambda: array[:0],
        lambda: array[0],
        lambda: np.float32(1),
        lambda: array.astype(rng.choice(["f2", "f8", ">f4", "i4", "u1", "?", "c8", "U8"])),
        lambda: array.astype("f8").astype("M8[s]"),
        lambda: np.zeros(3, [("a", "f4"), ("b", "i2")]),
        lambda: np.full_like(array, rng.choice([np.nan, np.inf, -1, 2, 1e38])),
        lambda: np.asfortranarray(array),
        lambda: array.reshape(-1),
        lambda: np.repeat(array, 20, 0),
        lambda: np.zeros((8, 1, 1, 1, 1, 1, 1, 1, 1, 2), np.float32),
    ]
    return rng.choice(kinds)()


def _npz(arrays: dict[str, Any], rng: Random) -> bytes:
    buffer = io.BytesIO()
    compression = rng.choice(COMPRESSIONS)
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.save(member, array)
            archive.writestr(f"{name}.npy", member.getvalue())
            if rng.random() < 0.02:
                archive.writestr(f"{name}.npy", member.getvalue())
    return buffer.getvalue()


FUZZERS = (
    Fuzzer("bundle files", _prepare_files),
    Fuzzer("bundle.json", _prepare_manifests),
    Fuzzer("check.npz", _prepare_checks),
)
