"""Make the embedded model of handwritten digits again from its checkpoint (docs/model-card.md).

The weights are rounded to 11 significant bits, a relative error of 2.4e-4, so that the wheel packs
them into two thirds of the bytes and holds the decoder for each kind of CPU.

Usage: vae-train --preset exact --validation 5000 -o runs/exact
       python tools/make_digits.py runs/exact/model.pt
Where that checkpoint isn't at hand, tools/restore_digits.py makes one.
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from vae_export import export_checkpoint
from vae_train import checkpoint

EMBEDDED = Path(__file__).parents[1] / "runtime" / "vae_runtime" / "models" / "digits.vae"
# Of the 24 bits of a float32's significand these are cleared.
CLEARED_BITS = 13


def rounded(weights: Tensor) -> Tensor:
    """Weights with the lowest bits of their significands rounded away; others as they are."""
    if weights.dtype != torch.float32:
        return weights
    bits = weights.contiguous().view(torch.int32)
    half = 1 << (CLEARED_BITS - 1)
    mask = -1 << CLEARED_BITS
    return ((bits + half) & mask).view(torch.float32)


def main() -> None:
    state = checkpoint.load_state(Path(sys.argv[1]))
    # What the model will meet are photographs of handwriting.
    config = replace(state.config, fit="mnist")
    weights = {name: rounded(value) for name, value in state.weights.items()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.pt"
        embedded = replace(state, config=config, weights=weights)
        checkpoint.save_contents(path, embedded.to_contents())
        bundle_path, bundle = export_checkpoint(path, EMBEDDED, force=True)
    for variant in bundle.variants:
        print(f"{variant.name}: {variant.summary()}")
    print(bundle_path)


if __name__ == "__main__":
    main()
