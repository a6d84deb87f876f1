"""Make the embedded model of handwritten digits again from its checkpoint (docs/model-card.md).

Usage: vae-train --preset best --validation 5000 -o runs/best
       python tools/make_digits.py runs/best/model.pt
"""

import sys
from pathlib import Path

from vae_export import export_checkpoint

EMBEDDED = Path(__file__).parents[1] / "runtime" / "vae_runtime" / "models" / "digits.vae"


def main() -> None:
    checkpoint = Path(sys.argv[1])
    bundle_path, bundle = export_checkpoint(checkpoint, EMBEDDED, force=True)
    for variant in bundle.variants:
        print(f"{variant.name}: {variant.summary()}")
    print(bundle_path)


if __name__ == "__main__":
    main()
