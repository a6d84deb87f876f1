"""What Python makes of bundles, seeds and pictures, in files that the tests of bindings/js read."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from tests.photographs import photograph

import vae_runtime
from vae_runtime.bundle import FITS, Preprocess
from vae_runtime.bundle.packing import packed
from vae_runtime.formats.preprocess import prepare

DRAWS = 1_000_000
SEEDS = ([7], [0], [2**32], [2**64 + 1], [0, 2**32 - 1], [3, 5, 8, 13, 21])
PHOTOGRAPHS = 16
# Of every size and shape, where windows reach beyond borders.
SMALL_PICTURES = 60
MAX_SMALL_SIDE = 90


@dataclass
class Golden:
    """Arrays as raw files in a folder, and what they are in `golden.json`."""

    folder: Path
    facts: dict[str, Any] = field(default_factory=dict)

    def array(self, values: NDArray[Any]) -> str:
        """Write an array; the name of its file."""
        name = f"{len(list(self.folder.iterdir()))}.bin"
        (self.folder / name).write_bytes(np.ascontiguousarray(values).tobytes())
        return name

    def close(self) -> None:
        (self.folder / "golden.json").write_text(json.dumps(self.facts))


def write_golden(folder: Path, bundles: dict[str, Path], digits: NDArray[np.uint8]) -> None:
    """Everything, into an empty folder; `digits` (N, 28, 28) are what photographs show."""
    golden = Golden(folder)
    golden.facts["draws"] = _draws(golden)
    golden.facts["bundles"] = {}
    for name, path in bundles.items():
        golden.facts["bundles"][name] = _model(golden, name, path)
    golden.facts["pictures"] = _pictures(golden, digits)
    golden.close()


def _draws(golden: Golden) -> list[dict[str, Any]]:
    cases = []
    for seeds in SEEDS:
        count = DRAWS if seeds == SEEDS[0] else 1000
        draws = np.random.default_rng(seeds).standard_normal(count)
        cases.append({"seeds": [str(seed) for seed in seeds], "draws": golden.array(draws)})
    return cases


def _model(golden: Golden, name: str, path: Path) -> dict[str, Any]:
    vae = vae_runtime.load(path, provider="cpu")
    (golden.folder / f"{name}.zip").write_bytes(packed(path))
    rng = np.random.default_rng(1)
    z = rng.standard_normal((19, vae.latent_dim)).astype(np.float32)
    images = vae.decode(z)
    z_mean, z_log_var = vae.encode(images)
    return {
        "path": str(path),
        "zip": str(golden.folder / f"{name}.zip"),
        "z": golden.array(z),
        "decoded": golden.array(images),
        "z_mean": golden.array(z_mean),
        "z_log_var": golden.array(z_log_var),
        "sample_3": golden.array(vae.sample(5, seed=3)),
        "reconstructed": golden.array(vae.reconstruct(images)),
        "linear": golden.array(vae.interpolate(z[0], z[1], 7)),
        "spherical": golden.array(vae.interpolate(z[0], z[1], 7, mode="spherical")),
        "score_0": golden.array(vae.score(images)),
        "score_7": golden.array(vae.score(images, seed=7)),
        "relative": golden.array(vae.score(images, relative=True)),
    }


def _pictures(golden: Golden, digits: NDArray[np.uint8]) -> list[dict[str, Any]]:
    rng = np.random.default_rng(5)
    cases = []
    for digit in digits[:PHOTOGRAPHS]:
        picture = _opened(photograph(digit, rng).jpeg)
        cases.append(_picture(golden, picture, Preprocess("mnist"), 1, 28))
    for fit in FITS:
        for invert in (False, True):
            preprocess = Preprocess(fit, invert)
            cases.append(_picture(golden, _opened_sketch(rng), preprocess, 3, 16))
            cases.append(_picture(golden, picture, preprocess, 1, 28))
    for special in _special(digits, rng):
        cases.append(_picture(golden, special, Preprocess("mnist"), 1, 28))
    for i in range(SMALL_PICTURES):
        preprocess = Preprocess(FITS[i % len(FITS)], bool(i % 3))
        cases.append(_picture(golden, _small(rng), preprocess, 1, 28))
    return cases


def _special(digits: NDArray[np.uint8], rng: np.random.Generator) -> list[Image.Image]:
    """In MNIST's form, its negative, an empty page, noise, one pixel."""
    noise = rng.integers(0, 256, (90, 120, 3), np.uint8)
    return [
        Image.fromarray(digits[0]),
        Image.fromarray(255 - digits[1]),
        Image.new("L", (200, 150), 230),
        Image.fromarray(noise),
        Image.new("L", (1, 1), 90),
    ]


def _small(rng: np.random.Generator) -> Image.Image:
    """A few strokes on a gradient, of any small size."""
    height, width = (int(side) for side in rng.integers(1, MAX_SMALL_SIDE, 2))
    values = np.add.outer(rng.uniform(0, 60) * np.linspace(0, 1, height), np.full(width, 130.0))
    for _ in range(int(rng.integers(0, 4))):
        top, left = int(rng.integers(height)), int(rng.integers(width))
        values[top : top + height // 3, left : left + 1 + width // 12] = rng.uniform(0, 255)
    return Image.fromarray(
        np.clip(values + rng.normal(0, 2, values.shape), 0, 255).astype(np.uint8)
    )


def _opened(content: bytes) -> Image.Image:
    import io

    return ImageOps.exif_transpose(Image.open(io.BytesIO(content)))


def _opened_sketch(rng: np.random.Generator) -> Image.Image:
    """Colored, partly transparent, 37×23."""
    return Image.fromarray(rng.integers(0, 256, (23, 37, 4), np.uint8), "RGBA")


def _picture(
    golden: Golden, picture: Image.Image, preprocess: Preprocess, channels: int, side: int
) -> dict[str, Any]:
    shape = (channels, side, side)
    return {
        "width": picture.width,
        "height": picture.height,
        "pixels": golden.array(np.asarray(picture.convert("RGBA"))),
        "shape": shape,
        "fit": preprocess.fit,
        "invert": preprocess.invert,
        "image": golden.array(prepare(picture, shape, preprocess)),
    }
