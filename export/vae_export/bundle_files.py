"""Write the files of a bundle: graphs, the manifest, and the arrays for `VAE.check`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from vae_export.graphs import Shapes, require_readable
from vae_export.source import ExportSource
from vae_export.torch_modules import as_list
from vae_runtime.arrays import Float32
from vae_runtime.bundle import CHECK_FILE, MANIFEST, Bundle, GraphFile, describe_graph, to_json

# float32 resolves 6e-8 near 1: the digits that black pixels have beyond that say nothing, and they
# don't compress.
DECODED_DECIMALS = 7


def write_graph(
    folder: Path, name: str, model_bytes: bytes, shapes: Shapes | None = None
) -> GraphFile:
    """Write a graph into a bundle and describe it for the manifest.

    `shapes` are those of its inputs and outputs where height and width are dynamic. Raises
    VAEError for one that the runtime would refuse to read.
    """
    require_readable(name, model_bytes, shapes)
    (folder / name).write_bytes(model_bytes)
    return describe_graph(name, model_bytes)


def write_manifest(folder: Path, bundle: Bundle) -> None:
    """Write bundle.json, or replace it."""
    (folder / MANIFEST).write_text(to_json(bundle), "utf-8")


@torch.no_grad()
def write_check(folder: Path, source: ExportSource, images: Float32, z: Float32) -> None:
    """Write check.npz: images (n, C, H, W), latents z (n, …), and what torch makes of them."""
    z_mean, z_log_var = source.encoder(torch.from_numpy(images))
    (decoded,) = as_list(source.decoder(torch.from_numpy(z)))
    arrays = {
        "images": images,
        "latents": z.reshape(len(z), -1),
        "z_mean": z_mean.flatten(1).numpy(),
        "z_log_var": z_log_var.flatten(1).numpy(),
        "decoded": decoded.numpy().round(DECODED_DECIMALS),
    }
    with (folder / CHECK_FILE).open("wb") as file:
        np.savez_compressed(file, **arrays)
