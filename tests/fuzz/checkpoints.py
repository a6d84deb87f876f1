"""`model.pt`: bytes spoiled, fields of any type; read as the exporter and the trainer do."""

from __future__ import annotations

import copy
import io
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import torch
from tests.fuzz.harness import Case, Fuzzer
from tests.fuzz.mutators import odd_value, spoiled_bytes

from vae_export.labels import label_records
from vae_runtime.arrays import check_images
from vae_train.checkpoint import load_checkpoint, load_contents
from vae_train.config import PRESETS
from vae_train.data import Dataset, load_dataset
from vae_train.loop import Trainer

SAMPLE = Path(__file__).parents[1] / "data" / "mnist"
# What is replaced, or that contains what is.
MAX_DEPTH = 6


def _prepare(folder: Path) -> Case:
    data = load_dataset(str(SAMPLE), limit=64)
    config = replace(PRESETS["default"], epochs=1, batch_size=32)
    path = folder / "model.pt"
    Trainer(config, data).save(path)
    content = path.read_bytes()
    contents = load_contents(path)

    def case(rng: Random) -> None:
        if rng.random() < 0.3:
            path.write_bytes(spoiled_bytes(content, rng))
        else:
            buffer = io.BytesIO()
            torch.save(spoiled_contents(contents, rng), buffer)
            path.write_bytes(buffer.getvalue())
        _read_as_exporter(path)
        if rng.random() < 0.2:
            _resume(path, data)

    def _resume(path: Path, data: Dataset) -> None:
        Trainer(config, data).resume(path)

    return case


def _read_as_exporter(path: Path) -> None:
    saved = load_checkpoint(path)
    label_records(saved.label_statistics)
    check_images(saved.train_images, saved.config.image_shape)
    check_images(saved.heldout_images, saved.config.image_shape)
    saved.model.decoder(torch.zeros(1, saved.config.latent_dim))


def spoiled_contents(contents: dict[str, Any], rng: Random) -> dict[str, Any]:
    """The contents with one field, at any depth, replaced or removed."""
    spoiled = copy.deepcopy(contents)
    parent: Any = spoiled
    key: Any = None
    for _ in range(MAX_DEPTH):
        keys = list(parent) if isinstance(parent, dict) else list(range(len(parent)))
        key = rng.choice(keys)
        if not isinstance(parent[key], dict | list) or not parent[key] or rng.random() < 0.3:
            break
        parent = parent[key]
    else:
        key = None
    if key is None:
        return spoiled
    kind = rng.randrange(5)
    if kind == 0:
        del parent[key]
    elif kind == 1 and isinstance(parent, dict):
        parent[rng.choice(["x", 1, "epoch"])] = parent.pop(key)
    elif kind == 2:
        tensors = [torch.zeros(()), torch.zeros(3, 2), torch.full((2,), torch.nan)]
        tensors += [torch.zeros(2, dtype=torch.uint8), torch.zeros(2, 2).to_sparse()]
        parent[key] = rng.choice(tensors)
    else:
        parent[key] = odd_value(rng)
    return spoiled


FUZZERS = (Fuzzer("checkpoints", _prepare),)
