"""Cut the sample in this folder from MNIST: the first 1,000 training and the first 300 test images.

Usage: python tests/data/make_sample.py MNIST_FOLDER
"""

import gzip
import sys
from pathlib import Path

from vae_runtime.idx import idx_bytes, read_idx

COUNTS = {"train": 1000, "t10k": 300}

source, target = Path(sys.argv[1]), Path(__file__).parent / "mnist"
for split, count in COUNTS.items():
    for kind in ("images-idx3-ubyte", "labels-idx1-ubyte"):
        first = idx_bytes(read_idx(source / f"{split}-{kind}.gz")[:count])
        (target / f"{split}-{kind}.gz").write_bytes(gzip.compress(first, 9, mtime=0))
