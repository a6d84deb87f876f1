"""Train variational autoencoders with PyTorch.

Imports `vae_runtime` for files and charts, never `vae_export`; and torch only once something of it
is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vae_train.config import PRESETS as PRESETS
    from vae_train.config import TrainConfig as TrainConfig
    from vae_train.data import load_dataset as load_dataset
    from vae_train.loop import Trainer as Trainer
    from vae_train.loop import train as train

# The module of each public name.
PUBLIC = {
    "PRESETS": "config",
    "TrainConfig": "config",
    "Trainer": "loop",
    "load_dataset": "data",
    "train": "loop",
}
__all__ = list(PUBLIC)


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    if name not in PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{PUBLIC[name]}"), name)
