"""`model.pt`: plain tensors, numbers, strings, lists and dicts, read with weights_only=True.

The same run writes the same bytes: no wall-clock values, no file names (torch.save puts the name of the file it
writes to into the archive, so it writes to memory).
"""

from __future__ import annotations

import io
import pickle
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vae_runtime.bundle import Likelihood
from vae_runtime.errors import VAEError
from vae_runtime.files import atomic_file
from vae_train.config import TrainConfig
from vae_train.model import VAE, build_vae

FORMAT = "vae-edge checkpoint 1"
EMBEDDED_IMAGES = 512  # of each split, fewer where the images are large
EMBEDDED_BYTES = 8 << 20


@dataclass(frozen=True)
class Checkpoint:
    """What an exporter or an evaluation needs of a `model.pt`; images (N, C, H, W) uint8, labels (N,) int64.

    `training` holds what a bundle quotes: preset, epochs, test_elbo in nats per image (validation_elbo where
    training images were held out in place of the test set).
    """

    model: VAE
    config: TrainConfig
    likelihood: Likelihood
    label_statistics: dict[str, Any]
    label_names: tuple[str, ...]
    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.int64]
    heldout_images: NDArray[np.uint8]
    heldout_labels: NDArray[np.int64]
    training: dict[str, Any]


def save_contents(path: Path, contents: dict[str, Any]) -> None:
    """Write a checkpoint whole or not at all. Raises VAEError when the disk is full or read-only."""
    buffer = io.BytesIO()
    torch.save(_canonical({"format": FORMAT, **contents}), buffer)
    with atomic_file(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def _canonical(value: Any) -> Any:
    """The same value with equal strings made one object, as pickle writes a second mention differently."""
    if isinstance(value, dict):
        return {_canonical(key): _canonical(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    return sys.intern(value) if isinstance(value, str) else value


def load_contents(path: str | Path) -> dict[str, Any]:
    """Everything in a checkpoint. Raises VAEError when it is missing, truncated or foreign."""
    path = Path(path)
    if not path.is_file():
        raise VAEError(f"{path}: no such checkpoint")
    try:
        with warnings.catch_warnings():  # torch warns of pickles that it didn't write; the error below says it better
            warnings.simplefilter("ignore")
            contents = torch.load(io.BytesIO(path.read_bytes()), map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError, pickle.PickleError):
        raise VAEError(f"{path}: not a checkpoint of vae-train, or a damaged one") from None
    if not isinstance(contents, dict) or contents.get("format") != FORMAT:
        raise VAEError(f"{path}: not a checkpoint of vae-train ({FORMAT!r} expected)")
    return contents


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read `model.pt` and rebuild its networks in evaluation mode.

    Raises VAEError when the file is missing, truncated, foreign, or its weights don't fit its configuration.
    """
    contents = load_contents(path)
    try:
        config = TrainConfig.from_dict(contents["config"])
        model = build_vae(config.image_shape, config.latent_dim, 0, config.networks, config.likelihood)
        model.load_state_dict(contents["weights"])
        images = {name: tensor.numpy() for name, tensor in contents["images"].items()}
        statistics, training, names = contents["label_statistics"], contents["training"], contents["label_names"]
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise VAEError(f"{path}: a damaged checkpoint, or one of another version: {reason}") from None
    log_var = () if model.log_var is None else tuple(model.log_var.tolist())
    return Checkpoint(
        model=model.eval(),
        config=config,
        likelihood=Likelihood(config.likelihood, log_var),
        label_statistics=statistics,
        label_names=tuple(names),
        **images,
        training=training,
    )


def embedded_count(image_shape: tuple[int, int, int]) -> int:
    """How many images of each split a checkpoint carries: up to 512, both splits at most 8 MB."""
    return min(EMBEDDED_IMAGES, EMBEDDED_BYTES // 2 // (image_shape[0] * image_shape[1] * image_shape[2]))
