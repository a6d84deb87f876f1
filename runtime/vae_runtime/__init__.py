"""Run a variational autoencoder from its bundle with onnxruntime.

Imports numpy and onnxruntime no earlier than `load` is called; never torch, onnx, vae_train or
vae_export.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from vae_runtime import formats
from vae_runtime.errors import BundleError, ProviderError, VAEError

if TYPE_CHECKING:
    from vae_runtime.vae import VAE, load

__all__ = ["VAE", "BundleError", "ProviderError", "VAEError", "load"]

# Until version 0.1 what programs use of `vae_runtime.formats` stood in modules of these names.
for _old_name in ("files", "images", "npy", "png"):
    globals()[_old_name] = formats
    sys.modules[f"{__name__}.{_old_name}"] = formats


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib import metadata

        return metadata.version("vae-edge")
    if name in ("VAE", "load"):
        from vae_runtime import vae

        return getattr(vae, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
