"""Make the sample pictures in examples/pictures from MNIST's test images.

Usage: python -m tools.make_pictures
"""

from pathlib import Path

import numpy as np
from PIL import Image
from tests.photographs import photograph

from vae_runtime.formats.idx import read_idx

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "examples" / "pictures"
IMAGES = ROOT / "tests" / "data" / "mnist" / "t10k-images-idx3-ubyte.gz"
# Positions among the test images.
DIGITS = {"one": 2, "three": 30, "eight": 61, "seven": 0}
PHOTOGRAPHED = {"photo_seven": 0, "photo_three": 32, "photo_eight": 84}
SCALE = 10


def main() -> None:
    TARGET.mkdir(exist_ok=True)
    digits = read_idx(IMAGES)
    for name, i in DIGITS.items():
        side = SCALE * digits.shape[1]
        picture = Image.fromarray(digits[i]).resize((side, side), Image.Resampling.BICUBIC)
        picture.save(TARGET / f"{name}.png")
    rng = np.random.default_rng(7)
    for name, i in PHOTOGRAPHED.items():
        (TARGET / f"{name}.jpg").write_bytes(photograph(digits[i], rng).jpeg)


if __name__ == "__main__":
    main()
