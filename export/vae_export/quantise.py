"""int8 variants: which layers are quantised, which are left in fp32 because they cost too much."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from tqdm import tqdm

from vae_export import parity
from vae_export.brightness import brightened
from vae_export.graphs import write_graph
from vae_export.qdq import Calibrated
from vae_export.rewrites import INT8_PASSES, rewrite_for_cpu
from vae_runtime.bundle import Likelihood, Variant
from vae_runtime.errors import VAEError
from vae_runtime.likelihood import bound, log_likelihood
from vae_runtime.precision import ELBO_BUDGET

Array = NDArray[np.float32]
Loss = Callable[[bytes], float]
Correction = Callable[[bytes], bytes]
Layer = tuple[str, ...]  # names of nodes that are quantised together
CALIBRATED = 512  # images at most: every other one calibrates, the others judge
DRAWS = 4  # of z per image, for the ELBO
LEAST_CHANNELS = 16  # convolutions with fewer inputs or outputs gain nothing from int8
PERCENTILES = (100.0, 99.99, 99.95, 99.9)  # of an activation's values that its 8 bits reach; the rest is clipped
SPENT = 0.8 * ELBO_BUDGET  # on images that didn't calibrate; the rest is for the error of that estimate


def quantise(
    content: bytes, inputs: Array, loss: Loss, allowed: float, correct: Correction | None = None
) -> tuple[bytes | None, float]:
    """An fp32 graph with as many layers in int8 as `allowed` nats of ELBO pay for, and the nats that costs.

    `inputs` (N, …) calibrate; `loss` says how many nats a graph in the place of `content` costs, once `correct`ed.
    The clipping that costs least is chosen first, then the layers that cost most alone go back to fp32, one after the
    other; the one that makes the logits last, for rewritten for int8 it is slow in fp32. None where not one layer can
    stay, with what the last one would have cost; infinity where there is no layer to quantise.
    """
    model = onnx.load_from_string(content)
    layers = worthwhile(model)
    if not layers:
        return None, math.inf
    calibrated = Calibrated(model, inputs, [name for layer in layers for name in layer])
    bar = tqdm(desc="int8", disable=not sys.stderr.isatty(), leave=False)

    def build(percentile: float, chosen: Sequence[Layer]) -> tuple[float, bytes]:
        graph = calibrated.in_int8([name for layer in chosen for name in layer], percentile)
        graph = correct(graph) if correct else graph
        lost = loss(graph)
        bar.update()
        return (lost if math.isfinite(lost) else math.inf), graph

    with bar:
        tried = {percentile: build(percentile, layers) for percentile in PERCENTILES}
        best = min(tried, key=lambda percentile: tried[percentile][0])
        lost, graph = tried[best]
        if lost > allowed and len(layers) > 1:
            last = {node.name for node in model.graph.node if calibrated.logits.intersection(node.output)}
            alone = {layer: (not last.intersection(layer), build(best, [layer])[0]) for layer in layers}
            cheapest = sorted(layers, key=lambda layer: alone[layer])
            for kept in range(len(layers) - 1, 0, -1):
                lost, graph = build(best, cheapest[:kept])
                if lost <= allowed:
                    break
    return (graph if lost <= allowed else None), lost


def worthwhile(model: onnx.ModelProto) -> list[Layer]:
    """The convolutions and matrix products that gain from int8, each with the Relu behind it.

    Together, the 8 bits of the result reach from zero to its largest value. Without the Relu they would have to reach
    down to the most negative one too, which costs ten times the ELBO.
    """
    weights = {tensor.name: tensor.dims for tensor in model.graph.initializer}
    chosen = []
    for node in model.graph.node:
        shape = weights.get(node.input[1]) if len(node.input) > 1 else None
        if shape is None or node.op_type not in ("Conv", "Gemm", "MatMul"):
            continue
        # The first dense layer of a decoder has as few inputs as the model latents.
        if min(shape[0], shape[1]) >= LEAST_CHANNELS:
            takers = [taker for taker in model.graph.node if node.output[0] in taker.input]
            behind = [taker.name for taker in takers if taker.op_type == "Relu" and len(takers) == 1]
            chosen.append((node.name, *behind))
    return chosen


def quantised(portable: Variant, fp32: Variant, folder: Path, images: Array, likelihood: Likelihood) -> Variant:
    """Write encoder.int8.onnx and decoder.int8.onnx, calibrated on real images and the encoder's latents of them.

    Every other image calibrates; the others judge, for what was clipped hurts most where an image is unlike those seen.
    The graphs of the `portable` variant are quantised; a part of which no layer can be stays as it is in `fp32`, the
    faster one on a CPU. Raises VAEError when that is so of both.
    """
    images = images[np.linspace(0, len(images) - 1, min(len(images), CALIBRATED)).astype(int)]
    seen, judged = images[::2], images[1::2] if len(images) > 1 else images
    encoder, decoder = ((folder / part.file).read_bytes() for part in (portable.encoder, portable.decoder))
    codes = encode(encoder, judged)
    before = elbo(codes, decoder, judged, likelihood)
    int8_encoder, encoder_cost = quantise(
        encoder, seen, lambda graph: before - elbo(encode(graph, judged), decoder, judged, likelihood), SPENT / 2
    )
    latents = encode(encoder, seen).z[0].astype(np.float32)
    (decoded,) = parity.run(decoder, latents)
    int8_decoder, decoder_cost = quantise(
        rewrite_for_cpu(decoder, INT8_PASSES) or decoder,
        latents,
        lambda graph: before - elbo(codes, graph, judged, likelihood),
        SPENT - (max(0.0, encoder_cost) if int8_encoder else 0.0),  # what the encoder leaves
        lambda graph: brightened(graph, latents, decoded),
    )
    files, reports = {"encoder": fp32.encoder, "decoder": fp32.decoder}, dict(fp32.parity)
    for part, plain, int8, inputs in (
        ("encoder", encoder, int8_encoder, seen),
        ("decoder", decoder, int8_decoder, latents),
    ):
        if int8:
            files[part] = write_graph(folder, f"{part}.int8.onnx", int8)
            reports[part] = _difference(plain, int8, inputs)
    if not (int8_encoder or int8_decoder):
        least = min(encoder_cost, decoder_cost)
        reason = f"the cheapest costs {least:.2f} nats of ELBO" if least < math.inf else "none is wide"
        raise VAEError(f"int8: no layer of these networks can be quantised: {reason}; export without --precision int8")
    return replace(
        fp32,
        name="int8",
        precision="int8",
        providers=("CPUExecutionProvider",),
        encoder=files["encoder"],
        decoder=files["decoder"],
        parity=reports,
    )


@dataclass(frozen=True)
class Codes:
    """Draws of z from q(z | x): z and epsilon (DRAWS, N, D) float64, z_mean and z_log_var (N, D) float64."""

    z: NDArray[np.float64]
    epsilon: NDArray[np.float64]
    z_mean: NDArray[np.float64]
    z_log_var: NDArray[np.float64]


def encode(encoder: bytes, images: Array) -> Codes:
    """Draws of z for images (N, C, H, W), with always the same noise."""
    z_mean, z_log_var = (value.astype(np.float64) for value in parity.run(encoder, images))
    epsilon = np.random.default_rng(0).standard_normal((DRAWS, *z_mean.shape))
    return Codes(z_mean + np.exp(0.5 * z_log_var) * epsilon, epsilon, z_mean, z_log_var)


def elbo(codes: Codes, decoder: bytes, images: Array, likelihood: Likelihood) -> float:
    """The mean ELBO of images (N, C, H, W) in nats."""
    draws, _, dim = codes.z.shape
    (decoded,) = parity.run(decoder, codes.z.reshape(-1, dim).astype(np.float32))
    bounds = []
    for z, epsilon, decodings in zip(codes.z, codes.epsilon, decoded.reshape(draws, *images.shape), strict=True):
        log_p = log_likelihood(images[:, None], decodings[:, None], likelihood)
        bounds.append(bound(log_p, z[:, None], codes.z_mean, codes.z_log_var, epsilon[:, None]))
    return float(np.concatenate(bounds).mean())


def _difference(plain: bytes, int8: bytes, inputs: Array) -> dict[str, Any]:
    """Against the fp32 graph: largest and mean absolute difference of every output."""
    names = [output.name for output in onnx.load_from_string(plain).graph.output]
    outputs = {}
    for name, want, got in zip(names, parity.run(plain, inputs), parity.run(int8, inputs), strict=True):
        error = np.abs(want - got)
        outputs[name] = {
            "largest": float(error.max()), "mean": float(error.mean()), "torch": 0.0,
            "magnitude": float(np.abs(want).max()),
        }  # fmt: skip
    return {
        "batches": [len(inputs)],
        "largest": max(d["largest"] for d in outputs.values()),
        "mean": max(d["mean"] for d in outputs.values()),
        "outputs": outputs,
    }
