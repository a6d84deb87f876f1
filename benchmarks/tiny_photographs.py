"""python -m benchmarks.tiny_photographs FOLDER: diffusers' AutoencoderTiny on photographs.

The photographs are those that scikit-image and scikit-learn bring along; what is held out is the
right fifth of each, which no crop for training touches.
"""

from __future__ import annotations

import time
from importlib import resources
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

Pixels = NDArray[np.uint8]

PHOTOGRAPHS = {
    "sklearn.datasets.images": ("china.jpg", "flower.jpg"),
    "skimage.data": (
        "astronaut.png",
        "coffee.png",
        "chelsea.png",
        "rocket.jpg",
        "retina.jpg",
        "hubble_deep_field.jpg",
    ),
}
SIDE = 64
BATCH = 8
TRAINING_SHARE = 0.8
HELD_OUT_CROPS = 64
CALIBRATION_CROPS = 512
LARGEST_RATE = 2e-3
BLOCKS = 3
CHANNELS = 16


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--minutes", default=5.0, show_default=True, help="Of training.")
@click.option("--seed", default=0, show_default=True)
def main(folder: Path, minutes: float, seed: int) -> None:
    """Write FOLDER/tiny as diffusers saves it, crops.npy to calibrate with, and FOLDER/heldout.

    Example: python -m benchmarks.tiny_photographs build/tiny --minutes 5
    """
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    photographs = _photographs()
    seen = [item[:, : int(item.shape[1] * TRAINING_SHARE)] for item in photographs]
    unseen = [item[:, int(item.shape[1] * TRAINING_SHARE) :] for item in photographs]
    model = _model()
    _train(model, seen, minutes * 60, rng)
    (folder / "heldout").mkdir(parents=True, exist_ok=True)
    for i, crop in enumerate(_crops(unseen, HELD_OUT_CROPS, rng)):
        Image.fromarray(crop).save(folder / "heldout" / f"{i:03}.png")
    calibration = _crops(seen, CALIBRATION_CROPS, rng)
    np.save(folder / "crops.npy", np.moveaxis(calibration, -1, 1))
    model.save_pretrained(folder / "tiny")


def _photographs() -> list[Pixels]:
    """Eight color photographs (H, W, 3)."""
    found = []
    for package, files in PHOTOGRAPHS.items():
        for file in files:
            with (resources.files(package) / file).open("rb") as content:
                found.append(np.asarray(Image.open(content).convert("RGB")))
    return found


def _crops(photographs: list[Pixels], count: int, rng: np.random.Generator) -> Pixels:
    """Crops (count, SIDE, SIDE, 3), from each photograph as many."""
    crops = []
    for i in range(count):
        photograph = photographs[i % len(photographs)]
        top = rng.integers(photograph.shape[0] - SIDE + 1)
        left = rng.integers(photograph.shape[1] - SIDE + 1)
        crop = photograph[top : top + SIDE, left : left + SIDE]
        crops.append(crop[:, ::-1] if rng.random() < 0.5 else crop)
    return np.stack(crops)


def _model() -> Any:
    from diffusers import AutoencoderTiny

    make: Any = AutoencoderTiny
    return make(
        encoder_block_out_channels=(CHANNELS,) * BLOCKS,
        decoder_block_out_channels=(CHANNELS,) * BLOCKS,
        num_encoder_blocks=(1,) * BLOCKS,
        num_decoder_blocks=(1,) * BLOCKS,
    )


def _train(model: Any, photographs: list[Pixels], seconds: float, rng: np.random.Generator) -> None:
    """Squared errors, Adam, a rate that falls along a cosine over the seconds."""
    optimizer = torch.optim.Adam(model.parameters(), LARGEST_RATE)
    start = time.monotonic()
    steps = 0
    while (share := (time.monotonic() - start) / seconds) < 1:
        for group in optimizer.param_groups:
            group["lr"] = LARGEST_RATE * (1 + np.cos(np.pi * share)) / 2
        images = _signed(_crops(photographs, BATCH, rng))
        loss: Any = torch.nn.functional.mse_loss(model(images).sample, images)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        steps += 1
        if not steps % 100:
            click.echo(f"step {steps}: PSNR {10 * np.log10(4 / loss.item()):.1f} dB")


def _signed(crops: Pixels) -> Tensor:
    """Crops (N, H, W, 3) as images (N, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(crops.copy()).permute(0, 3, 1, 2).float() / 127.5 - 1


if __name__ == "__main__":
    main()
