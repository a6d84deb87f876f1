"""Export a VAE's encoder and decoder to ONNX graphs with a dynamic batch, proven equal to torch.

Imports `vae_train` (the model) and `vae_runtime` (the bundle); torch and onnx only once something
is exported. Read `api` for what people call, `pipeline` for the steps of an export.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vae_export.api import export_bundle, export_checkpoint

__all__ = ["export_bundle", "export_checkpoint"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from vae_export import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
