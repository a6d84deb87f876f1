"""Files of every kind that the project reads and writes; PUBLIC is for other programs.

A function is imported with its module when it is first asked for, so that a command loads Pillow
only where it reads an image file.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vae_runtime.formats.files import atomic_file as atomic_file
    from vae_runtime.formats.images import read_images as read_images
    from vae_runtime.formats.latents import Latents as Latents
    from vae_runtime.formats.latents import read_latents as read_latents
    from vae_runtime.formats.latents import write_latents as write_latents
    from vae_runtime.formats.npy import write_npy as write_npy
    from vae_runtime.formats.pictures import save_picture as save_picture
    from vae_runtime.formats.png import save_png as save_png
    from vae_runtime.formats.sheets import sheet as sheet

PUBLIC = {
    "Latents": "latents",
    "atomic_file": "files",
    "read_images": "images",
    "read_latents": "latents",
    "save_picture": "pictures",
    "save_png": "png",
    "sheet": "sheets",
    "write_latents": "latents",
    "write_npy": "npy",
}
__all__ = list(PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{PUBLIC[name]}"), name)
