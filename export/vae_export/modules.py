"""Exporting somebody else's VAE: a factory named on the command line that makes a torch module."""

from __future__ import annotations

import importlib
import pickle
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vae_export.export import export_bundle
from vae_runtime.bundle import Bundle
from vae_runtime.errors import VAEError


class Half(nn.Module):
    """One of a VAE's methods as a module."""

    def __init__(self, vae: nn.Module, method: str) -> None:
        super().__init__()
        self.vae, self.method = vae, method
        self.exported_as = f"{type(vae).__name__}.{method}"

    def forward(self, x: Tensor) -> Any:
        return getattr(self.vae, self.method)(x)


def export_factory(
    source: str,
    weights: Path | None,
    image_shape: tuple[int, int, int],
    latent_dim: int,
    output: Path,
    *,
    precisions: Sequence[str] = ("fp32",),
    images: NDArray[np.float32] | None = None,
    tolerance: float,
    force: bool,
) -> Bundle:
    """Export what `package.module:factory` makes, with the state_dict in `weights` loaded into it. Raises VAEError."""
    vae = _make(source)
    if weights is not None:
        _load(vae, weights)
    return export_bundle(
        Half(vae, "encode"),
        Half(vae, "decode"),
        image_shape=image_shape,
        latent_dim=latent_dim,
        output=output,
        precisions=precisions,
        images=images,
        tolerance=tolerance,
        force=force,
    )


def _make(source: str) -> nn.Module:
    name, _, factory = source.partition(":")
    sys.path.insert(0, "")  # as `python -m` does: modules of the current folder
    try:
        vae = getattr(importlib.import_module(name), factory)()
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise VAEError(f"{source}: cannot be called: {error}") from error
    finally:
        sys.path.remove("")
    if not isinstance(vae, nn.Module) or not all(callable(getattr(vae, m, None)) for m in ("encode", "decode")):
        raise VAEError(f"{source}: gives a {type(vae).__name__}; a torch.nn.Module with encode and decode was expected")
    return vae


def _load(vae: nn.Module, weights: Path) -> None:
    if not weights.is_file():
        raise VAEError(f"{weights}: no such file")
    try:
        vae.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    except (RuntimeError, pickle.UnpicklingError, EOFError, TypeError, AttributeError, ValueError) as error:
        raise VAEError(f"{weights}: not a state_dict of this module: {' '.join(str(error).split())[:300]}") from None
