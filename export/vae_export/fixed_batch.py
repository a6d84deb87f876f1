"""Graphs of one batch alone, for compilers and phones that refuse dynamic shapes.

Core ML, QNN, LiteRT and engines of TensorRT want every dimension to be a number before they begin.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vae_export import parity
from vae_export.bundle_files import write_graph
from vae_export.graphs import export_graph
from vae_export.source import ExportSource
from vae_runtime.bundle import Variant
from vae_runtime.bundle.records import ANY_PROVIDER
from vae_runtime.engine.conditions import BY_NAME
from vae_runtime.errors import VAEError


def require_fixable(batch: int | None, dynamic_size: bool) -> None:
    """Raise VAEError for a batch that no variant can have; None asks for none."""
    if batch is None:
        return
    if not 1 <= batch <= parity.MAX_BATCH:
        raise VAEError(f"a fixed batch must lie between 1 and {parity.MAX_BATCH}, not {batch}")
    if dynamic_size:
        raise VAEError(
            f"a fixed batch, here {batch}, fixes each size and a dynamic size leaves two open: "
            "write two bundles"
        )


def write_fixed_batch(
    source: ExportSource,
    folder: Path,
    batch: int,
    metadata: dict[str, str],
    expected: dict[str, parity.Expected],
    tolerance: float,
) -> Variant:
    """Write encoder.batchN.onnx and decoder.batchN.onnx, traced with N images.

    `expected` is what torch gives, by part. Raises VAEError where a graph differs from it by more
    than the tolerance.
    """
    encoder = export_graph(
        source.encoder,
        source.image_shape,
        "image",
        ["z_mean", "z_log_var"],
        metadata,
        batch=batch,
    ).SerializeToString()
    decoder = export_graph(
        source.decoder, source.traced_latent_shape, "z", ["image"], metadata, batch=batch
    ).SerializeToString()
    name = f"batch{batch}"
    return Variant(
        name=name,
        precision="fp32",
        providers=(ANY_PROVIDER,),
        encoder=write_graph(folder, f"encoder.{name}.onnx", encoder),
        decoder=write_graph(folder, f"decoder.{name}.onnx", decoder),
        parity={
            "encoder": _proven(expected["encoder"], encoder, batch, tolerance),
            "decoder": _proven(expected["decoder"], decoder, batch, tolerance),
        },
        requires=(BY_NAME,),
        batch=batch,
    )


def _proven(
    expected: parity.Expected, model_bytes: bytes, batch: int, tolerance: float
) -> dict[str, Any]:
    differences = parity.measure_fixed(expected, model_bytes, batch)
    parity.require(differences, tolerance)
    return parity.report(differences, [batch])
