"""Image files, IDX files, latent files and concepts, spoiled."""

from __future__ import annotations

import gzip
import io
import json
import struct
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image
from tests.fuzz.bundles import odd_array
from tests.fuzz.harness import Case, Fuzzer, WrongAnswerError
from tests.fuzz.mutators import odd_value, spoiled_bytes, spoiled_value
from tests.runtime.helpers import DATA

import vae_runtime
from vae_runtime.bundle import FITS
from vae_runtime.formats.concepts import read_concept
from vae_runtime.formats.idx import read_idx
from vae_runtime.formats.latents import LATENT_FORMATS, Latents, latents_bytes, read_latents

IMAGE_FORMATS = {
    "PNG": ("L", "RGB", "RGBA", "P", "1", "I;16", "LA"),
    "JPEG": ("L", "RGB", "CMYK"),
    "GIF": ("L", "P"),
    "BMP": ("L", "RGB", "1"),
    "TIFF": ("L", "RGB", "RGBA", "I;16", "F", "1"),
    "WEBP": ("RGB", "RGBA"),
    "PPM": ("L", "RGB", "1"),
}


def _prepare_images(folder: Path) -> Case:
    vae = vae_runtime.load(DATA / "tiny.vae", provider="cpu", threads=1)
    contents = []
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 4), np.uint8)
    for kind, modes in IMAGE_FORMATS.items():
        for mode in modes:
            rgba = Image.fromarray(pixels)
            picture = rgba.convert("L").convert("I;16") if mode == "I;16" else rgba.convert(mode)
            buffer = io.BytesIO()
            picture.save(buffer, kind)
            contents.append(buffer.getvalue())

    def case(rng: Random) -> None:
        content = spoiled_bytes(rng.choice(contents), rng)
        source: bytes | Path = content
        if rng.random() < 0.3:
            source = folder / rng.choice(["a.png", "a.jpg", "a.npy", "a.npz", "a", "a.idx"])
            source.write_bytes(content)
        fit = rng.choice([*FITS, None])
        images = vae.read(source, fit=fit)
        if not np.isfinite(images).all() or images.min() < 0 or images.max() > 1:
            raise WrongAnswerError("an image outside [0, 1]")

    return case


def _prepare_idx(folder: Path) -> Case:
    array = np.random.default_rng(0).integers(0, 256, (5, 7, 6), np.uint8)
    plain = struct.pack(">HBBIII", 0, 8, 3, *array.shape) + array.tobytes()

    def case(rng: Random) -> None:
        content = spoiled_bytes(plain, rng) if rng.random() < 0.8 else plain
        if rng.random() < 0.5:
            content = gzip.compress(content)
            content = spoiled_bytes(content, rng) if rng.random() < 0.7 else content
        path = folder / "x-idx-ubyte"
        path.write_bytes(content)
        read_idx(path)

    return case


def _prepare_latents(folder: Path) -> Case:
    z = np.random.default_rng(0).standard_normal((6, 2)).astype(np.float32)
    stored = Latents(tuple(f'na"me,{i}' for i in range(6)), z, -z)
    contents = {kind: latents_bytes(stored, kind) for kind in LATENT_FORMATS}

    def case(rng: Random) -> None:
        kind = rng.choice(LATENT_FORMATS)
        content = contents[kind]
        if kind == "json" and rng.random() < 0.6:
            values = spoiled_value(json.loads(content), rng)
            content = json.dumps(values).encode("utf-8", "surrogatepass")
        elif kind == "npy" and rng.random() < 0.5:
            buffer = io.BytesIO()
            np.save(buffer, odd_array(z, rng))
            content = buffer.getvalue()
        else:
            content = spoiled_bytes(content, rng)
        path = folder / f"z.{kind if rng.random() < 0.9 else rng.choice(LATENT_FORMATS)}"
        path.write_bytes(content)
        latents = read_latents(path, 2)
        if latents.shape[1:] != (2,) or not np.isfinite(latents).all():
            raise WrongAnswerError(f"latents {latents.shape}")

    return case


def _prepare_concepts(folder: Path) -> Case:
    original = {"concept": [0.5, -1.0], "with": 3, "without": 4}

    def case(rng: Random) -> None:
        values = spoiled_value(original, rng) if rng.random() < 0.7 else odd_value(rng)
        path = folder / "concept.json"
        try:
            text = json.dumps(values)
        except ValueError:
            text = '{"concept": [1' + "0" * 5000 + ", 0]}"
        content = text.encode("utf-8", "surrogatepass")
        path.write_bytes(content if rng.random() < 0.7 else spoiled_bytes(content, rng))
        if read_concept(path, (2,)).shape != (2,):
            raise WrongAnswerError("a direction of another shape")

    return case


FUZZERS = (
    Fuzzer("images", _prepare_images),
    Fuzzer("IDX", _prepare_idx),
    Fuzzer("latents", _prepare_latents),
    Fuzzer("concepts", _prepare_concepts),
)
