"""Section 8.4 of "Deep Learning with R", end to end: train the book's VAE, print both losses, draw the 15×15 grid.

Usage: python examples/book_chapter.py [--data mnist|FOLDER] [--epochs 10] [--limit N] [-o FOLDER]

Needs the extra `[export]`; the picture itself is drawn by the runtime, without torch.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import vae_runtime
from vae_export import export_checkpoint
from vae_runtime.png import save_png, sheet
from vae_train.config import PRESETS
from vae_train.data import load_dataset
from vae_train.loop import Trainer, train

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--data", default="mnist")
parser.add_argument("--epochs", type=int, default=10)
parser.add_argument("--limit", type=int)
parser.add_argument("-o", "--output", type=Path, default=Path("book"))
arguments = parser.parse_args()


def show(losses: dict[str, float], seconds: float) -> None:
    """Both losses in nats per image: 784 × the book's cross-entropy, and the KL term before its weight of 0.392."""
    print(
        f"epoch {losses['epoch']:2}  reconstruction {losses['train_reconstruction']:.2f}  KL {losses['train_kl']:.2f}  "
        f"on test images {losses['test_reconstruction']:.2f} and {losses['test_kl']:.2f}  ({seconds:.0f} s)",
        flush=True,
    )


arguments.output.mkdir(parents=True, exist_ok=True)
data = load_dataset(arguments.data, arguments.limit)
trainer = Trainer(replace(PRESETS["book"], epochs=arguments.epochs), data)
train(trainer, arguments.output / "model.pt", lambda: False, show)
print(f"true test ELBO {trainer.training['test_elbo']:.2f} nats per image")

bundle, _ = export_checkpoint(arguments.output / "model.pt", force=True)
with vae_runtime.load(bundle) as vae:
    digits = vae.grid(15)  # rows walk z[1], columns z[0], both through the normal distribution's quantiles
    save_png(sheet(digits.reshape(-1, *vae.image_shape), 15), arguments.output / "grid.png")
print(arguments.output / "grid.png")
