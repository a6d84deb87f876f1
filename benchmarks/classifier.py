"""An independent judge of generated digits: a small convolutional network, trained here and kept out of the product."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vae_train.data import Dataset

EPOCHS = 3
BATCH = 128


def train_classifier(data: Dataset, seed: int = 0) -> nn.Module:
    """image (N, 1, 28, 28) in [0, 1] -> logits (N, 10); about 99 % of the test images right."""
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.25), nn.Linear(64 * 49, 128), nn.ReLU(), nn.Linear(128, 10),
    )  # fmt: skip
    images, labels = torch.from_numpy(data.train.images.copy()), torch.from_numpy(data.train.labels)
    steps = EPOCHS * (len(images) // BATCH)
    optimizer = torch.optim.Adam(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    for _ in range(steps):
        chosen = torch.randint(len(images), (BATCH,))
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images[chosen].float() / 255), labels[chosen]).backward()
        optimizer.step()
        schedule.step()
    return model.eval()


@torch.no_grad()
def probabilities(model: nn.Module, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, 10): what the judge thinks of images (N, 1, 28, 28) float32."""
    parts: list[Tensor] = [model(torch.from_numpy(images[i : i + 500])).softmax(1) for i in range(0, len(images), 500)]
    result: NDArray[np.float32] = torch.cat(parts).numpy()
    return result


def accuracy(model: nn.Module, data: Dataset) -> float:
    """The share of the test images that it gets right."""
    found = probabilities(model, data.test.images.astype(np.float32) / 255).argmax(1)
    return float((found == data.test.labels).mean())
