"""What the fields of a `model.pt` must be: types, ranges, and that they fit each other.

Raises ValueError with the path of the field. What torch reads with weights_only=True is plain
values, of any kind and size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

MAX_EPOCHS = 1_000_000
MAX_STEPS = 1 << 40
MAX_SIDE = 4096
MAX_LATENT_DIM = 1 << 16
MAX_BATCH = 1 << 24
MAX_SEED = (1 << 63) - 1
MAX_MAGNITUDE = 1e30
MAX_NAME = 200
MAX_DEPTH = 5
IMAGE_KEYS = ("train_images", "train_labels", "heldout_images", "heldout_labels")

# Of the configuration: the highest value of its whole numbers, and the numbers of any kind.
WHOLE_SETTINGS = {
    "latent_dim": MAX_LATENT_DIM,
    "shift": MAX_SIDE,
    "batch_size": MAX_BATCH,
    "epochs": MAX_EPOCHS,
    "decoder_epochs": MAX_EPOCHS,
    "encoder_epochs": MAX_EPOCHS,
    "seed": MAX_SEED,
    "validation": MAX_STEPS,
}
NUMBER_SETTINGS = ("learning_rate", "warmup", "encoder_noise")
FLAG_SETTINGS = ("amp", "compile")
NAME_SETTINGS = ("preset", "networks", "likelihood", "sampling", "optimizer", "fit")


def require_contents(contents: Mapping[str, Any]) -> None:
    """Raise ValueError unless the contents of a checkpoint are as `RunState` has them."""
    config = _object(contents, "config")
    require_config(config)
    _text(contents.get("data"), "data")
    source = contents.get("source")
    if source is not None:
        _text(_object(contents, "source").get("data"), "source.data")
        if source.get("limit") is not None:
            _whole(source["limit"], "source.limit", 1, MAX_STEPS)
    for name, weights in _object(contents, "weights").items():
        _finite_tensor(weights, f"weights.{name}")
    rng = contents.get("noise")
    if not isinstance(rng, Tensor) or rng.dtype != torch.uint8 or rng.ndim != 1:
        raise ValueError("'noise' is no state of a random generator")
    _require_position(_object(contents, "position"))
    for i, row in enumerate(_list(contents, "history")):
        _require_facts(row, f"history[{i}]", MAX_DEPTH)
    if contents.get("table") is not None:
        _object(contents, "table")
    for i, name in enumerate(_list(contents, "label_names")):
        _text(name, f"label_names[{i}]")
    latent_dim = config.get("latent_dim", 2)
    for name, label in _object(contents, "label_statistics").items():
        _require_label(label, f"label_statistics.{name}", latent_dim)
    _require_images(_object(contents, "images"), tuple(config["image_shape"]))
    _require_facts(contents.get("training"), "training", MAX_DEPTH)


def require_config(config: Mapping[str, Any]) -> None:
    """Raise ValueError unless settings are of their types; `TrainConfig` checks the rest."""
    shape = _list(config, "image_shape")
    for size in shape:
        _whole(size, "config.image_shape", 1, MAX_SIDE)
    for name, value in config.items():
        path = f"config.{name}"
        if name in WHOLE_SETTINGS:
            _whole(value, path, 0, WHOLE_SETTINGS[name])
        elif name in NUMBER_SETTINGS or (name == "beta" and value is not None):
            _number(value, path)
        elif name in FLAG_SETTINGS and not isinstance(value, bool):
            raise ValueError(f"{path!r} is neither true nor false")
        elif name in NAME_SETTINGS:
            _text(value, path)


def _require_position(position: Mapping[str, Any]) -> None:
    if position.keys() != {"epoch", "step", "sums"}:
        raise ValueError("'position' is not epoch, step and sums")
    _whole(position["epoch"], "position.epoch", 0, MAX_EPOCHS)
    _whole(position["step"], "position.step", 0, MAX_STEPS)
    sums = _list(position, "sums")
    if len(sums) != 2:
        raise ValueError("'position.sums' is not two numbers")
    for value in sums:
        _number(value, "position.sums")


def _require_label(label: Any, path: str, latent_dim: int) -> None:
    if not isinstance(label, dict):
        raise ValueError(f"{path!r} is no object")
    _whole(label.get("count"), f"{path}.count", 0, MAX_STEPS)
    _require_gaussian(label, path, latent_dim)
    for i, component in enumerate(_list(label, "components")):
        where = f"{path}.components[{i}]"
        if not isinstance(component, dict):
            raise ValueError(f"{where!r} is no object")
        _number(component.get("weight"), f"{where}.weight")
        _require_gaussian(component, where, latent_dim)


def _require_gaussian(values: Mapping[str, Any], path: str, latent_dim: int) -> None:
    _require_numbers(values.get("mean"), f"{path}.mean", latent_dim)
    rows = values.get("cov")
    if isinstance(rows, list) and rows and not isinstance(rows[0], list):
        # A diagonal covariance.
        _require_numbers(rows, f"{path}.cov", latent_dim)
        return
    if not isinstance(rows, list) or len(rows) != latent_dim:
        raise ValueError(f"'{path}.cov' is not {latent_dim} rows")
    for row in rows:
        _require_numbers(row, f"{path}.cov", latent_dim)


def _require_numbers(values: Any, path: str, count: int) -> None:
    if not isinstance(values, list) or len(values) != count:
        raise ValueError(f"{path!r} is not {count} numbers")
    for value in values:
        _number(value, path)


def _require_images(images: Mapping[str, Any], shape: tuple[int, ...]) -> None:
    for key in IMAGE_KEYS:
        if not isinstance(images.get(key), Tensor):
            raise ValueError(f"'images.{key}' is missing, or no tensor")
    for part in ("train", "heldout"):
        pictures, labels = images[f"{part}_images"], images[f"{part}_labels"]
        if pictures.dtype != torch.uint8 or tuple(pictures.shape[1:]) != shape:
            raise ValueError(f"'images.{part}_images' are not uint8 of the shape {shape}")
        if labels.is_floating_point() or labels.shape != pictures.shape[:1]:
            raise ValueError(f"'images.{part}_labels' are not one number for each image")


def _require_facts(value: Any, path: str, depth: int) -> None:
    """Facts for people: an object of texts and numbers, nested a little."""
    if not isinstance(value, dict) or depth == 0:
        raise ValueError(f"{path!r} is no object, or nested too deeply")
    for name, item in value.items():
        _text(name, path)
        where = f"{path}.{name}"
        if isinstance(item, dict):
            _require_facts(item, where, depth - 1)
        elif isinstance(item, str):
            _text(item, where)
        elif item is not None:
            _number(item, where)


def _object(values: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = values.get(key)
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise ValueError(f"{key!r} is missing, or no object")
    return value


def _list(values: Mapping[str, Any], key: str) -> Sequence[Any]:
    value = values.get(key)
    if not isinstance(value, list):
        raise ValueError(f"{key!r} is missing, or no list")
    return value


def _whole(value: Any, path: str, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"{path!r} is no whole number from {low} to {high}")


def _number(value: Any, path: str) -> None:
    # NaN compares false.
    if not isinstance(value, int | float) or not -MAX_MAGNITUDE <= value <= MAX_MAGNITUDE:
        raise ValueError(f"{path!r} is no finite number")


def _text(value: Any, path: str) -> None:
    if not isinstance(value, str) or len(value) > MAX_NAME or not value.isprintable():
        raise ValueError(f"{path!r} is no text that can be shown")


def _finite_tensor(value: Any, path: str) -> None:
    is_plain = isinstance(value, Tensor) and value.layout == torch.strided
    if not is_plain or not bool(torch.isfinite(value).all()):
        raise ValueError(f"{path!r} is no tensor of finite numbers")
