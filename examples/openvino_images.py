"""Images by a bundle's decoder in OpenVINO alone, without onnxruntime and without vae-edge.

pip install openvino pillow
python examples/openvino_images.py digits.vae images.png
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from PIL import Image

ROWS = 4
# At its default OpenVINO computes in bfloat16 where the CPU can.
OPTIONS = {"INFERENCE_PRECISION_HINT": "f32"}


def portable_decoder(bundle: Path, manifest: dict[str, Any]) -> Path:
    """The decoder that every engine runs; those of other variants may hold operators of its own."""
    for variant in manifest["variants"]:
        if "*" in variant["providers"] and "batch" not in variant:
            return bundle / str(variant["decoder"]["file"])
    raise SystemExit(f"{bundle}: it has no portable variant")


def main(bundle: Path, output: Path) -> None:
    if not (bundle / "bundle.json").is_file():
        raise SystemExit(f"{bundle}: no folder of a bundle")
    manifest = json.loads((bundle / "bundle.json").read_text("utf-8"))
    decoder = portable_decoder(bundle, manifest)
    model = openvino.Core().compile_model(decoder, "CPU", OPTIONS)
    z = np.random.default_rng(0).standard_normal((ROWS * ROWS, manifest["latent_dim"]))
    images = model(z.astype(np.float32))["image"]
    # (rows · columns, C, H, W) -> (rows · H, columns · W, C)
    _, channels, height, width = images.shape
    tiles = images.reshape(ROWS, ROWS, channels, height, width).transpose(0, 3, 1, 4, 2)
    sheet = np.rint(tiles * 255).astype(np.uint8).reshape(ROWS * height, ROWS * width, channels)
    Image.fromarray(sheet.squeeze()).save(output)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
