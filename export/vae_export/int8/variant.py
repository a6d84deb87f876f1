"""The int8 variant of a bundle: both graphs quantized inside one budget of ELBO, and written."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from vae_export import ort, parity
from vae_export.bundle_files import write_graph
from vae_export.int8.bias_correction import correct_bias
from vae_export.int8.judge import Judge, draw_posterior
from vae_export.int8.search import SearchResult, quantize_within_budget
from vae_export.rewrites import INT8_PASSES, rewrite_for_cpu
from vae_runtime.arrays import Float32, Int64
from vae_runtime.bundle import GraphFile, Likelihood, Variant
from vae_runtime.engine.precision import ELBO_BUDGET
from vae_runtime.engine.providers import CPU
from vae_runtime.errors import VAEError

# At most: every other one calibrates, the others judge.
CALIBRATION_IMAGES = 512
# What both graphs together may cost, in nats, on images that didn't calibrate. The rest of the
# runtime's budget is for the error of that estimate.
SEARCH_BUDGET = 0.8 * ELBO_BUDGET


@dataclass(frozen=True)
class QuantizedPart:
    """The encoder or the decoder: its fp32 graph, the search's result, what calibrated it."""

    fp32: bytes
    result: SearchResult
    inputs: Float32


def write_int8_variant(
    portable: Variant, fp32: Variant, folder: Path, images: Float32, likelihood: Likelihood
) -> Variant:
    """Write encoder.int8.onnx and decoder.int8.onnx, calibrated on images (N, C, H, W) in [0, 1].

    Every other image calibrates; the others judge, for what was clipped hurts most where an image
    is unlike those seen. The graphs of the `portable` variant are quantized; a part of which no
    layer can be stays as it is in `fp32`, the faster one on a CPU. Raises VAEError when that is so
    of both.
    """
    encoder = (folder / portable.encoder.file).read_bytes()
    decoder = (folder / portable.decoder.file).read_bytes()
    images = images[spread_out(len(images), CALIBRATION_IMAGES)]
    judging = images[1::2] if len(images) > 1 else images
    judge = Judge(encoder, decoder, judging, likelihood)

    encoder_part = _quantize_encoder(encoder, images[::2], judge)
    spent = 0.0
    if encoder_part.result.model_bytes is not None:
        spent = max(0.0, encoder_part.result.cost)
    z = draw_posterior(encoder, images[::2]).z[0].astype(np.float32)
    decoder_part = _quantize_decoder(decoder, z, judge, SEARCH_BUDGET - spent)
    parts = {"encoder": encoder_part, "decoder": decoder_part}
    _require_any(parts)

    files = {"encoder": fp32.encoder, "decoder": fp32.decoder}
    reports = dict(fp32.parity)
    for name, part in parts.items():
        if part.result.model_bytes is not None:
            files[name] = write_graph(folder, f"{name}.int8.onnx", part.result.model_bytes)
            reports[name] = _report(part.fp32, part.result.model_bytes, part.inputs)
    return _int8_variant(fp32, files, reports)


def spread_out(count: int, max_count: int) -> Int64:
    """At most `max_count` positions from all over `count`, the first and the last among them."""
    return np.linspace(0, count - 1, min(count, max_count)).astype(np.int64)


def _quantize_encoder(encoder: bytes, images: Float32, judge: Judge) -> QuantizedPart:
    result = quantize_within_budget(encoder, images, judge.encoder_cost, SEARCH_BUDGET / 2)
    return QuantizedPart(encoder, result, images)


def _quantize_decoder(decoder: bytes, z: Float32, judge: Judge, budget: float) -> QuantizedPart:
    (decoded,) = ort.run(decoder, z)
    result = quantize_within_budget(
        rewrite_for_cpu(decoder, INT8_PASSES) or decoder,
        z,
        judge.decoder_cost,
        budget,
        partial(correct_bias, z=z, images=decoded),
    )
    return QuantizedPart(decoder, result, z)


def _require_any(parts: Mapping[str, QuantizedPart]) -> None:
    results = [part.result for part in parts.values()]
    if any(result.model_bytes is not None for result in results):
        return
    least = min(result.cost for result in results)
    reason = f"the cheapest costs {least:.2f} nats of ELBO" if least < math.inf else "none is wide"
    raise VAEError(
        f"int8: no layer of these networks can be quantized: {reason}; "
        "export without --precision int8"
    )


def _int8_variant(
    fp32: Variant, files: Mapping[str, GraphFile], reports: Mapping[str, Any]
) -> Variant:
    return replace(
        fp32,
        name="int8",
        precision="int8",
        providers=(CPU,),
        encoder=files["encoder"],
        decoder=files["decoder"],
        parity=reports,
    )


def _report(fp32: bytes, int8: bytes, inputs: Float32) -> dict[str, Any]:
    """How far every output is from that of the fp32 graph on the calibration inputs."""
    names = [output.name for output in onnx.load_from_string(fp32).graph.output]
    fp32_values = ort.run(fp32, inputs)
    int8_values = ort.run(int8, inputs)
    differences = {}
    for name, expected, value in zip(names, fp32_values, int8_values, strict=True):
        error = np.abs(expected - value)
        differences[name] = parity.Difference(
            largest=float(error.max()),
            mean=float(error.mean()),
            # The comparison is with the fp32 graph, not with torch.
            torch=0.0,
            magnitude=float(np.abs(expected).max()),
        )
    return parity.report(differences, batches=[len(inputs)])
