"""Print the resident memory in MiB after each hundred of 2,000 calls that decode 1 to 5,000 images.

`benchmarks.processes` runs it as a process of its own.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

import vae_runtime

CALLS = 2000
CALLS_PER_LINE = 100
MAX_IMAGES = 5000


def main() -> None:
    rng = np.random.default_rng(0)
    with vae_runtime.load(provider="cpu") as vae:
        for call in range(1, CALLS + 1):
            count = rng.integers(1, MAX_IMAGES + 1)
            vae.decode(rng.standard_normal((count, vae.latent_dim)))
            if call % CALLS_PER_LINE == 0:
                print(resident_mib())


def resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
