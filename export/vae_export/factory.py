"""Exporting somebody else's VAE: a factory named on the command line that makes a torch module."""

from __future__ import annotations

import importlib
import pickle
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vae_export.api import export_bundle
from vae_runtime.arrays import Float32, ImageShape
from vae_runtime.bundle import Bundle
from vae_runtime.errors import VAEError

METHODS = ("encode", "decode")
# How much of torch's list of keys that don't fit is shown.
MAX_REASON_CHARACTERS = 300
# What torch raises for files that hold something else.
BAD_STATE_DICT = (
    RuntimeError,
    pickle.UnpicklingError,
    EOFError,
    TypeError,
    AttributeError,
    ValueError,
)


class VAEMethod(nn.Module):
    """One method of a VAE as a module of its own."""

    def __init__(self, vae: nn.Module, method: str) -> None:
        super().__init__()
        self.vae = vae
        self.method = method
        self.exported_as = f"{type(vae).__name__}.{method}"

    def forward(self, x: Tensor) -> Any:
        return getattr(self.vae, self.method)(x)


def export_factory(
    factory: str,
    weights: Path | None,
    image_shape: ImageShape,
    latent_dim: int,
    output: Path,
    *,
    precisions: Sequence[str] = ("fp32",),
    images: Float32 | None = None,
    tolerance: float,
    force: bool,
    as_zip: bool = False,
    with_card: bool = False,
) -> Bundle:
    """Export what `package.module:factory` makes, with the state_dict in `weights` loaded into it.

    The factory takes no arguments and returns a torch.nn.Module with `encode` and `decode` methods.
    Raises VAEError.
    """
    vae = _make(factory)
    if weights is not None:
        _load(vae, weights)
    return export_bundle(
        VAEMethod(vae, "encode"),
        VAEMethod(vae, "decode"),
        image_shape=image_shape,
        latent_dim=latent_dim,
        output=output,
        precisions=precisions,
        images=images,
        tolerance=tolerance,
        force=force,
        as_zip=as_zip,
        with_card=with_card,
    )


def _make(factory: str) -> nn.Module:
    module_name, _, function_name = factory.partition(":")
    # Modules of the current folder are found, as `python -m` finds them.
    sys.path.insert(0, "")
    try:
        vae = getattr(importlib.import_module(module_name), function_name)()
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise VAEError(f"{factory}: cannot be called: {error}") from error
    finally:
        sys.path.remove("")
    has_methods = all(callable(getattr(vae, method, None)) for method in METHODS)
    if not isinstance(vae, nn.Module) or not has_methods:
        raise VAEError(
            f"{factory}: gives a {type(vae).__name__}; a torch.nn.Module with encode and decode "
            "was expected"
        )
    return vae


def _load(vae: nn.Module, weights: Path) -> None:
    if not weights.is_file():
        raise VAEError(f"{weights}: no such file")
    try:
        vae.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    except BAD_STATE_DICT as error:
        reason = " ".join(str(error).split())[:MAX_REASON_CHARACTERS]
        raise VAEError(f"{weights}: not a state_dict of this module: {reason}") from None
