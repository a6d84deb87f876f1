"""Cut the sample in this folder from MNIST: the first 1,000 training and the first 300 test images.

Usage: python tests/data/make_sample.py MNIST_FOLDER
"""

import gzip
import sys
from pathlib import Path

from vae_runtime.formats.idx import idx_bytes, read_idx

COUNTS = {"train": 1000, "t10k": 300}
KINDS = ("images-idx3-ubyte", "labels-idx1-ubyte")
BEST_COMPRESSION = 9
TARGET = Path(__file__).parent / "mnist"


def main() -> None:
    source = Path(sys.argv[1])
    for split, count in COUNTS.items():
        for kind in KINDS:
            name = f"{split}-{kind}.gz"
            first = read_idx(source / name)[:count]
            # Without a time in it, the same images give the same file.
            content = gzip.compress(idx_bytes(first), BEST_COMPRESSION, mtime=0)
            (TARGET / name).write_bytes(content)


if __name__ == "__main__":
    main()
