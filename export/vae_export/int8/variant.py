"""The int8 variant of a bundle: both graphs quantized inside one budget of ELBO, and written."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from vae_export import ort, parity
from vae_export.bundle_files import write_graph
from vae_export.int8 import Int8UnavailableError
from vae_export.int8.bias_correction import correct_bias
from vae_export.int8.judge import Judge, draw_posterior
from vae_export.int8.search import SearchResult, quantize_within_budget
from vae_export.int8.signed import with_signed_bytes
from vae_export.int8.target import ANY_CPU, Target
from vae_export.int8.worth import Gains, common_gains
from vae_export.rewrites import rewrite_for_cpu
from vae_runtime.arrays import Float32, Int64
from vae_runtime.bundle import Likelihood, Variant
from vae_runtime.engine.conditions import INTEGER_DOT_PRODUCTS
from vae_runtime.engine.providers import CPU

# At most: every other one calibrates, the others judge.
CALIBRATION_IMAGES = 512
# Of larger images fewer do: each has more numbers to calibrate on, and a search over many layers
# decodes the judging ones hundreds of times.
CALIBRATION_NUMBERS = 512 * 1024
MIN_CALIBRATION_IMAGES = 64


@dataclass(frozen=True)
class Attempt:
    """What one try at an int8 variant may cost in nats, and which images it calibrates on.

    Every other image calibrates, the others judge: what was clipped hurts most where an image is
    unlike those seen. `exchanged` makes them change places, so that fresh ones judge.
    """

    budget: float
    exchanged: bool = False

    def calibrating(self, images: Float32) -> Float32:
        return images[1::2] if self.exchanged and len(images) > 1 else images[::2]

    def judging(self, images: Float32) -> Float32:
        return images[1::2] if not self.exchanged and len(images) > 1 else images[::2]


@dataclass(frozen=True)
class QuantizedPart:
    """The encoder or the decoder: its fp32 graph, the search's result, inputs that compare both.

    `gains` are those of the result over the fastest fp32 graph.
    """

    fp32: bytes
    result: SearchResult
    inputs: Float32
    gains: Gains = field(default_factory=dict)

    @property
    def is_faster(self) -> bool:
        """Whether it is with integer dot products, for which int8 is made."""
        return INTEGER_DOT_PRODUCTS in self.gains

    @property
    def int8(self) -> bytes | None:
        """The graph that is worth writing, if there is one."""
        return self.result.model_bytes if self.is_faster else None


def write_int8_variant(
    portable: Variant,
    fp32: Variant,
    folder: Path,
    images: Float32,
    likelihood: Likelihood,
    attempt: Attempt,
    target: Target = ANY_CPU,
) -> Variant:
    """Write encoder.int8.onnx and decoder.int8.onnx, or what the `target` calls its variant.

    They are calibrated on images (N, C, H, W) in [0, 1]. The graphs of the `portable` variant are
    quantized; a part of which no layer can be, or that isn't faster so, stays as it is in `fp32`,
    the faster variant on a CPU. Raises Int8UnavailableError when that is so of both.
    """
    encoder = (folder / portable.encoder.file).read_bytes()
    decoder = (folder / portable.decoder.file).read_bytes()
    images = images[spread_out(len(images), calibration_count(images.shape[1:]))]
    calibrating = attempt.calibrating(images)
    judge = Judge(encoder, decoder, attempt.judging(images), likelihood)

    encoder_part = _quantize_encoder(encoder, calibrating, judge, attempt.budget / 2)
    encoder_part = _finished(encoder_part, (folder / fp32.encoder.file).read_bytes(), target)
    spent = max(0.0, encoder_part.result.cost) if encoder_part.is_faster else 0.0
    z = draw_posterior(encoder, calibrating).z[0].astype(np.float32)
    decoder_part = _quantize_decoder(decoder, z, judge, attempt.budget - spent, target)
    decoder_part = _finished(decoder_part, (folder / fp32.decoder.file).read_bytes(), target)
    parts = {"encoder": encoder_part, "decoder": decoder_part}
    _require_any(parts)
    return _written(parts, fp32, folder, target)


def _written(
    parts: Mapping[str, QuantizedPart], fp32: Variant, folder: Path, target: Target
) -> Variant:
    """Write the int8 graphs; the parts without one are those of `fp32`."""
    files = {"encoder": fp32.encoder, "decoder": fp32.decoder}
    reports = dict(fp32.parity)
    for name, part in parts.items():
        if part.int8 is not None:
            files[name] = write_graph(folder, f"{name}.{target.name}.onnx", part.int8)
            reports[name] = _report(part.fp32, part.int8, part.inputs)
    # A decoder of its own has none of the conditions of the one that it replaces.
    is_bound = not target.requires and parts["decoder"].int8 is None
    requires = fp32.requires if is_bound else target.requires
    return replace(
        fp32,
        name=target.name,
        precision="int8",
        providers=(CPU,),
        encoder=files["encoder"],
        decoder=files["decoder"],
        parity=reports,
        requires=requires,
        gains=common_gains([part.gains for part in parts.values() if part.int8 is not None]),
    )


def calibration_count(image_shape: Sequence[int]) -> int:
    """How many images (C, H, W) of this shape int8 is calibrated and judged on, at most."""
    count = CALIBRATION_NUMBERS // math.prod(image_shape)
    return min(CALIBRATION_IMAGES, max(MIN_CALIBRATION_IMAGES, count))


def spread_out(count: int, max_count: int) -> Int64:
    """At most `max_count` positions from all over `count`, the first and the last among them."""
    return np.linspace(0, count - 1, min(count, max_count)).astype(np.int64)


def _quantize_encoder(
    encoder: bytes, images: Float32, judge: Judge, budget: float
) -> QuantizedPart:
    result = quantize_within_budget(encoder, images, judge.encoder_cost, budget)
    return QuantizedPart(encoder, result, images)


def _quantize_decoder(
    decoder: bytes, z: Float32, judge: Judge, budget: float, target: Target
) -> QuantizedPart:
    (decoded,) = ort.run(decoder, z)
    result = quantize_within_budget(
        rewrite_for_cpu(decoder, target.passes) or decoder,
        z,
        judge.decoder_cost,
        budget,
        partial(correct_bias, z=z, images=decoded),
    )
    # What `VAE.check` decodes lies as far out.
    reach = parity.LATENT_REACH
    far = np.random.default_rng(0).uniform(-reach, reach, z.shape).astype(np.float32)
    return QuantizedPart(decoder, result, np.concatenate([z, far]))


def _finished(part: QuantizedPart, fastest_fp32: bytes, target: Target) -> QuantizedPart:
    """With the bytes that the target multiplies, and what they gain."""
    int8 = part.result.model_bytes
    if int8 is None:
        return part
    if target.signed:
        int8 = with_signed_bytes(int8)
    result = replace(part.result, model_bytes=int8)
    return replace(part, result=result, gains=target.compare(int8, fastest_fp32))


def _require_any(parts: Mapping[str, QuantizedPart]) -> None:
    if any(part.int8 is not None for part in parts.values()):
        return
    results = [part.result for part in parts.values()]
    if any(result.model_bytes is not None for result in results):
        raise Int8UnavailableError("int8: neither encoder nor decoder gets faster")
    least = min(result.cost for result in results)
    reason = f"the cheapest costs {least:.2f} nats of ELBO" if least < math.inf else "none is wide"
    raise Int8UnavailableError(
        f"int8: no layer of these networks can be quantized: {reason} (--int8-budget allows more)"
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
