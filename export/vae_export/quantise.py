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
from vae_export.rewrites import INT8_PASSES, PASSES, rewrite_for_cpu
from vae_export.timing import speedup
from vae_runtime.bundle import Likelihood, Variant
from vae_runtime.errors import VAEError
from vae_runtime.likelihood import bound, log_likelihood
from vae_runtime.precision import ELBO_BUDGET

Array = NDArray[np.float32]
Loss = Callable[[bytes], float]
Correction = Callable[[bytes], bytes]
Layer = tuple[str, ...]  # names of nodes that are quantised together
CALIBRATED = 256
AT_ONCE = 64  # images decoded in one call
DRAWS = 4  # of z per image, for the ELBO
LEAST_CHANNELS = 16  # convolutions with fewer inputs or outputs gain nothing from int8
PERCENTILES = (100.0, 99.99, 99.95, 99.9)  # of an activation's values that its 8 bits reach; the rest is clipped
SPENT = 0.8 * ELBO_BUDGET  # on the calibration images; the rest is for images that the graphs haven't seen


@dataclass(frozen=True)
class Quantised:
    """A graph with layers in int8 and the nats of ELBO they cost; whether those are all that are worthwhile.

    Where not one layer can stay, `graph` is None and `cost` what the last one would have cost; infinity where there is
    no layer to quantise.
    """

    graph: bytes | None
    cost: float
    complete: bool


def unchanged(graph: bytes) -> bytes:
    return graph


def quantise(content: bytes, inputs: Array, loss: Loss, allowed: float, corrected: Correction = unchanged) -> Quantised:
    """An fp32 graph with as many layers in int8 as `allowed` nats of ELBO pay for.

    `inputs` (N, …) calibrate; `loss` says how many nats a graph in the place of `content` costs. Each graph is judged
    with and without being `corrected`. The clipping that costs least is chosen first, then the layers that cost most
    alone go back to fp32, one after the other.
    """
    model = onnx.load_from_string(content)
    layers = worthwhile(model)
    if not layers:
        return Quantised(None, math.inf, complete=False)
    calibrated = Calibrated(model, inputs)
    bar = tqdm(desc="int8", disable=not sys.stderr.isatty(), leave=False)

    def build(percentile: float, chosen: Sequence[Layer]) -> tuple[float, bytes]:
        graph = calibrated.in_int8([name for layer in chosen for name in layer], percentile)
        bar.update()
        return min((loss(candidate), candidate) for candidate in {graph, corrected(graph)})

    kept = len(layers)
    with bar:
        tried = {percentile: build(percentile, layers) for percentile in PERCENTILES}
        best = min(tried, key=lambda percentile: tried[percentile][0])
        lost, graph = tried[best]
        if lost > allowed and len(layers) > 1:
            alone = {layer: build(best, [layer])[0] for layer in layers}
            cheapest = sorted(layers, key=lambda layer: alone[layer])
            while lost > allowed and kept > 1:
                kept -= 1
                lost, graph = build(best, cheapest[:kept])
    return Quantised(graph if lost <= allowed else None, lost, complete=kept == len(layers))


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


def quantised(fp32: Variant, folder: Path, images: Array, likelihood: Likelihood) -> Variant:
    """Write encoder.int8.onnx and decoder.int8.onnx, calibrated on real images and the encoder's latents of them.

    `fp32` is the portable variant. A part of which no layer can be quantised stays as it is there. Raises VAEError when
    that is so of both.
    """
    images = images[np.linspace(0, len(images) - 1, min(len(images), CALIBRATED)).astype(int)]
    encoder, decoder = ((folder / part.file).read_bytes() for part in (fp32.encoder, fp32.decoder))
    codes = encode(encoder, images)
    before = elbo(codes, decoder, images, likelihood)
    small_encoder = quantise(
        encoder, images, lambda graph: before - elbo(encode(graph, images), decoder, images, likelihood), SPENT / 2
    )
    # The decoder gets what the encoder leaves.
    allowed = SPENT - (max(0.0, small_encoder.cost) if small_encoder.graph else 0.0)
    latents = codes.z[0].astype(np.float32)
    small_decoder = _fastest(decoder, latents, lambda graph: before - elbo(codes, graph, images, likelihood), allowed)
    if not (small_encoder.graph or small_decoder.graph):
        least = min(small_encoder.cost, small_decoder.cost)
        reason = f"the cheapest costs {least:.2f} nats of ELBO" if least < math.inf else "none is wide"
        raise VAEError(f"int8: no layer of these networks can be quantised: {reason}; export without --precision int8")
    files, reports = {"encoder": fp32.encoder, "decoder": fp32.decoder}, dict(fp32.parity)
    for part, plain, small, inputs in (
        ("encoder", encoder, small_encoder, images),
        ("decoder", decoder, small_decoder, latents),
    ):
        if small.graph:
            files[part] = write_graph(folder, f"{part}.int8.onnx", small.graph)
            reports[part] = _difference(plain, small.graph, inputs)
    return replace(
        fp32,
        name="int8",
        precision="int8",
        providers=("CPUExecutionProvider",),
        encoder=files["encoder"],
        decoder=files["decoder"],
        parity=reports,
    )


def _fastest(decoder: bytes, latents: Array, loss: Loss, allowed: float) -> Quantised:
    """The decoder rewritten for int8; where not all of that can be quantised, the one for fp32 if that is faster."""
    (images,) = parity.session(decoder).run(None, {"z": latents})
    found: list[Quantised] = []
    for rewritten in dict.fromkeys(rewrite_for_cpu(decoder, passes) or decoder for passes in (INT8_PASSES, PASSES)):
        found.append(quantise(rewritten, latents, loss, allowed, lambda graph: brightened(graph, latents, images)))
        if found[-1].complete:
            break
    graphs = [(small.graph, small) for small in found if small.graph]
    if not graphs:
        return min(found, key=lambda small: small.cost)
    return max(graphs, key=lambda pair: speedup(pair[0], decoder, latents[:AT_ONCE]))[1]


@dataclass(frozen=True)
class Codes:
    """Draws of z from q(z | x): z and epsilon (DRAWS, N, D) float64, z_mean and z_log_var (N, D) float64."""

    z: NDArray[np.float64]
    epsilon: NDArray[np.float64]
    z_mean: NDArray[np.float64]
    z_log_var: NDArray[np.float64]


def encode(encoder: bytes, images: Array) -> Codes:
    """Four draws of z per image (N, C, H, W), with always the same noise."""
    graph = parity.session(encoder)
    parts = [graph.run(None, {"image": images[i : i + AT_ONCE]}) for i in range(0, len(images), AT_ONCE)]
    z_mean, z_log_var = (np.concatenate(part).astype(np.float64) for part in zip(*parts, strict=True))
    epsilon = np.random.default_rng(0).standard_normal((DRAWS, *z_mean.shape))
    return Codes(z_mean + np.exp(0.5 * z_log_var) * epsilon, epsilon, z_mean, z_log_var)


def elbo(codes: Codes, decoder: bytes, images: Array, likelihood: Likelihood) -> float:
    """The mean ELBO of images (N, C, H, W) in nats."""
    graph = parity.session(decoder)
    bounds = []
    for z, epsilon in zip(codes.z, codes.epsilon, strict=True):
        for start in range(0, len(images), AT_ONCE):
            some = slice(start, start + AT_ONCE)
            (decoded,) = graph.run(None, {"z": z[some].astype(np.float32)})
            log_p = log_likelihood(images[some, None], decoded[:, None], likelihood)
            draws = (z[some, None], codes.z_mean[some], codes.z_log_var[some], epsilon[some, None])
            bounds.append(bound(log_p, *draws))
    return float(np.concatenate(bounds).mean())


def _difference(plain: bytes, int8: bytes, inputs: Array) -> dict[str, Any]:
    """Against the fp32 graph: largest and mean absolute difference of every output."""
    graphs = [parity.session(content) for content in (plain, int8)]
    names = [output.name for output in graphs[0].get_outputs()]
    feed = {graphs[0].get_inputs()[0].name: inputs}
    outputs = {}
    for name, want, got in zip(names, *(graph.run(None, feed) for graph in graphs), strict=True):
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
