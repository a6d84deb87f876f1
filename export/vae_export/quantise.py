"""int8 variants: static QDQ quantisation by onnxruntime, per-channel 7-bit weights, what costs too much left in fp32.

x86 without VNNI saturates when it multiplies unsigned by signed bytes, so weights use 7 bits (`reduce_range`).
"""

from __future__ import annotations

import contextlib
import io
import logging
import math
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from tqdm import tqdm

from vae_export import parity
from vae_export.graphs import checked, write_graph
from vae_runtime.bundle import Likelihood, Variant
from vae_runtime.errors import VAEError
from vae_runtime.likelihood import bound, log_likelihood
from vae_runtime.precision import ELBO_BUDGET

Array = NDArray[np.float32]
Loss = Callable[[bytes], float]
Layer = tuple[str, ...]  # names of nodes that are quantised together
CALIBRATED = 256
AT_ONCE = 64  # images decoded in one call
DRAWS = 4  # of z per image, for the ELBO
LEAST_CHANNELS = 16  # convolutions with fewer inputs or outputs gain nothing from int8
PERCENTILES = (100.0, 99.99, 99.95, 99.9)  # of an activation's values that its 8 bits reach; the rest is clipped
SPENT = 0.8 * ELBO_BUDGET  # on the calibration images; the rest is for images that the graphs haven't seen


class Batches(CalibrationDataReader):  # type: ignore[misc]
    """Feeds calibration inputs in batches of 64."""

    def __init__(self, name: str, inputs: Array) -> None:
        self.feeds = iter([{name: inputs[i : i + 64]} for i in range(0, len(inputs), 64)])

    def get_next(self) -> dict[str, Array] | None:
        return next(self.feeds, None)


def quantise(content: bytes, inputs: Array, loss: Loss, allowed: float) -> tuple[bytes | None, float]:
    """An fp32 graph with as many layers in int8 as `allowed` nats of ELBO pay for, and the nats that costs.

    `inputs` (N, …) calibrate; `loss` says how many nats a graph in the place of `content` costs. The clipping that
    costs least is chosen first, then the layers that cost most alone go back to fp32, one after the other. None where
    not one layer can stay, with what the last one would have cost; infinity where there is no layer to quantise.
    """
    model = onnx.load_from_string(content)
    layers = worthwhile(model)
    if not layers:
        return None, math.inf
    bar = tqdm(desc="int8", disable=not sys.stderr.isatty(), leave=False)

    def build(percentile: float, chosen: Sequence[Layer]) -> tuple[float, bytes]:
        graph = _quantised(model, inputs, percentile, [name for layer in chosen for name in layer])
        bar.update()
        return loss(graph), graph

    with bar:
        tried = {percentile: build(percentile, layers) for percentile in PERCENTILES}
        best = min(tried, key=lambda percentile: tried[percentile][0])
        lost, graph = tried[best]
        if lost > allowed and len(layers) > 1:
            alone = {layer: build(best, [layer])[0] for layer in layers}
            for kept in range(len(layers) - 1, 0, -1):
                lost, graph = build(best, sorted(layers, key=lambda layer: alone[layer])[:kept])
                if lost <= allowed:
                    break
    return (graph if lost <= allowed else None), lost


def worthwhile(model: onnx.ModelProto) -> list[Layer]:
    """The convolutions and matrix products that gain from int8, each with the Relu behind it; names unnamed nodes.

    Together, the 8 bits of the result reach from zero to its largest value. Without the Relu they would have to reach
    down to the most negative one too, which costs ten times the ELBO.
    """
    weights = {tensor.name: tensor.dims for tensor in model.graph.initializer}
    for i, node in enumerate(model.graph.node):
        node.name = node.name or f"{node.op_type}_{i}"
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


def quantised(fp32: Variant, decoder: bytes, folder: Path, images: Array, likelihood: Likelihood) -> Variant:
    """Write encoder.int8.onnx and decoder.int8.onnx, calibrated on real images and the encoder's latents of them.

    `decoder` is the graph to quantise. A part of which no layer can be quantised stays the one of `fp32`. Raises
    VAEError when that is so of both.
    """
    images = images[np.linspace(0, len(images) - 1, min(len(images), CALIBRATED)).astype(int)]
    encoder = (folder / fp32.encoder.file).read_bytes()
    before = elbo(encoder, decoder, images, likelihood)
    parts: dict[str, tuple[bytes, Array, Loss]] = {
        "encoder": (encoder, images, lambda graph: before - elbo(graph, decoder, images, likelihood)),
        "decoder": (decoder, encoded(encoder, images), lambda graph: before - elbo(encoder, graph, images, likelihood)),
    }
    files, reports = {"encoder": fp32.encoder, "decoder": fp32.decoder}, dict(fp32.parity)
    costs, allowed = [], SPENT / 2  # the decoder gets what the encoder leaves
    for part, (content, inputs, loss) in parts.items():
        int8, cost = quantise(content, inputs, loss, allowed)
        costs.append(cost)
        allowed = SPENT - (max(0.0, cost) if int8 else 0.0)
        if int8:
            files[part] = write_graph(folder, f"{part}.int8.onnx", int8)
            reports[part] = _difference(content, int8, inputs)
    if files == {"encoder": fp32.encoder, "decoder": fp32.decoder}:
        least = min(costs)
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


def elbo(encoder: bytes, decoder: bytes, images: Array, likelihood: Likelihood) -> float:
    """The mean ELBO of images (N, C, H, W) in nats, with four draws of z each, always the same ones."""
    graphs = parity.session(encoder), parity.session(decoder)
    random = np.random.default_rng(0)
    bounds = []
    for start in range(0, len(images), AT_ONCE):
        some = images[start : start + AT_ONCE]
        z_mean, z_log_var = (v.astype(np.float64) for v in graphs[0].run(None, {"image": some}))
        for _ in range(DRAWS):
            epsilon = random.standard_normal((len(some), 1, z_mean.shape[1]))
            z = z_mean[:, None] + np.exp(0.5 * z_log_var)[:, None] * epsilon
            (decoded,) = graphs[1].run(None, {"z": z[:, 0].astype(np.float32)})
            log_p = log_likelihood(some[:, None], decoded[:, None], likelihood)
            bounds.append(bound(log_p, z, z_mean, z_log_var, epsilon))
    return float(np.concatenate(bounds).mean())


def encoded(encoder: bytes, images: Array) -> Array:
    """Latents drawn from q(z | x) of real images: what a decoder meets."""
    z_mean, z_log_var = parity.session(encoder).run(None, {"image": images})
    noise = np.random.default_rng(0).standard_normal(z_mean.shape)
    latents: Array = (z_mean + np.exp(0.5 * z_log_var) * noise).astype(np.float32)
    return latents


def _quantised(model: onnx.ModelProto, inputs: Array, percentile: float, nodes: Sequence[str]) -> bytes:
    """`model` with `nodes` in int8."""
    clipped = {
        "calibrate_method": CalibrationMethod.Percentile,
        "extra_options": {"CalibPercentile": percentile},
    }
    with tempfile.TemporaryDirectory() as folder, _quiet():
        source, target = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
        onnx.save(model, source)
        quantize_static(
            source,
            target,
            Batches(model.graph.input[0].name, inputs),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_quantize=list(nodes),
            **(clipped if percentile < 100 else {"calibrate_method": CalibrationMethod.MinMax}),
        )
        quantised = onnx.load(target)
    quantised.ir_version = model.ir_version
    quantised.producer_name = model.producer_name
    quantised.graph.ClearField("value_info")
    for entry in quantised.metadata_props:
        if entry.key == "precision":
            entry.value = "int8"
    return bytes(checked(quantised).SerializeToString())


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


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """onnxruntime's quantiser advises on the root logger and prints how its calibration gets on."""
    logger = logging.getLogger()
    disabled, logger.disabled = logger.disabled, True
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.disabled = disabled
