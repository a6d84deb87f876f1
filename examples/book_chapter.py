"""Section 8.4 of "Deep Learning with R": train the book's VAE, print both losses, draw the grid.

Usage: python examples/book_chapter.py [--data mnist|FOLDER] [--epochs 10] [--limit N] [-o FOLDER]

Needs the extra `[export]`; the grid itself is drawn by the runtime, without torch.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import vae_runtime
from vae_export import export_checkpoint
from vae_runtime.formats import save_png, sheet
from vae_train.config import PRESETS
from vae_train.data import load_dataset
from vae_train.loop import Trainer, train

GRID_SIDE = 15


def main() -> None:
    arguments = parse_arguments()
    output: Path = arguments.output
    output.mkdir(parents=True, exist_ok=True)
    checkpoint = output / "model.pt"

    data = load_dataset(arguments.data, arguments.limit)
    trainer = Trainer(replace(PRESETS["book"], epochs=arguments.epochs), data)
    train(trainer, checkpoint, never_interrupted, print_losses)
    print(f"true test ELBO {trainer.summary['test_elbo']:.2f} nats per image")

    bundle, _ = export_checkpoint(checkpoint, force=True)
    draw_grid(bundle, output / "grid.png")
    print(output / "grid.png")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--limit", type=int)
    parser.add_argument("-o", "--output", type=Path, default=Path("book"))
    return parser.parse_args()


def never_interrupted() -> bool:
    return False


def print_losses(row: dict[str, float], seconds: float) -> None:
    """Both losses in nats per image.

    They are 784 times the book's cross-entropy, and the KL term before its weight of 0.392.
    """
    print(
        f"epoch {row['epoch']:2}  "
        f"reconstruction {row['train_reconstruction']:.2f}  KL {row['train_kl']:.2f}  "
        f"on test images {row['test_reconstruction']:.2f} and {row['test_kl']:.2f}  "
        f"({seconds:.0f} s)",
        flush=True,
    )


def draw_grid(bundle: Path, path: Path) -> None:
    """Rows walk z[1], columns z[0], both through the normal distribution's quantiles."""
    with vae_runtime.load(bundle) as vae:
        digits = vae.grid(GRID_SIDE)
        save_png(sheet(digits.reshape(-1, *vae.image_shape), GRID_SIDE), path)


if __name__ == "__main__":
    main()
