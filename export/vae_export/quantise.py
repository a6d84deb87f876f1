"""int8 variants: static QDQ quantisation by onnxruntime, per-channel 7-bit weights, what doesn't pay left in fp32.

x86 without VNNI saturates when it multiplies unsigned by signed bytes, so weights use 7 bits (`reduce_range`).
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

from vae_export import parity
from vae_export.graphs import checked, write_graph
from vae_runtime.bundle import Variant
from vae_runtime.errors import VAEError

Array = NDArray[np.float32]
CALIBRATED = 256
LEAST_CHANNELS = 16  # convolutions with fewer inputs or outputs gain nothing from int8


class Batches(CalibrationDataReader):  # type: ignore[misc]
    """Feeds calibration inputs in batches of 64."""

    def __init__(self, name: str, inputs: Array) -> None:
        self.feeds = iter([{name: inputs[i : i + 64]} for i in range(0, len(inputs), 64)])

    def get_next(self) -> dict[str, Array] | None:
        return next(self.feeds, None)


def quantise(content: bytes, inputs: Array) -> bytes:
    """An fp32 model -> int8, calibrated on `inputs` (N, …). Raises VAEError where nothing can be quantised."""
    model = onnx.load_from_string(content)
    nodes = worthwhile(model)
    if not nodes:
        raise VAEError("int8: this graph has no convolution or matrix product that gains from it; export fp32 only")
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
            calibrate_method=CalibrationMethod.MinMax,
            nodes_to_quantize=nodes,
        )
        quantised = onnx.load(target)
    quantised.ir_version = model.ir_version
    quantised.producer_name = model.producer_name
    quantised.graph.ClearField("value_info")
    for entry in quantised.metadata_props:
        if entry.key == "precision":
            entry.value = "int8"
    return bytes(checked(quantised).SerializeToString())


def worthwhile(model: onnx.ModelProto) -> list[str]:
    """Names of the nodes to quantise; names those that have none."""
    weights = {tensor.name: tensor.dims for tensor in model.graph.initializer}
    chosen = []
    for i, node in enumerate(model.graph.node):
        node.name = node.name or f"{node.op_type}_{i}"
        shape = weights.get(node.input[1]) if len(node.input) > 1 else None
        if shape is None or node.op_type not in ("Conv", "Gemm", "MatMul"):
            continue
        # The first dense layer of a decoder has as few inputs as the model latents.
        if min(shape[0], shape[1]) >= LEAST_CHANNELS:
            chosen.append(node.name)
    return chosen


def quantised(encoder: bytes, decoder: bytes, images: Array, latents: Array, folder: Path, like: Variant) -> Variant:
    """Write encoder.int8.onnx and decoder.int8.onnx, calibrated on real images and the encoder's latents of them."""
    files, reports = {}, {}
    for part, content, inputs in (("encoder", encoder, images), ("decoder", decoder, latents)):
        int8 = quantise(content, inputs[:CALIBRATED])
        files[part] = write_graph(folder, f"{part}.int8.onnx", int8)
        reports[part] = _difference(content, int8, inputs[:CALIBRATED])
    return replace(
        like,
        name="int8",
        precision="int8",
        providers=("CPUExecutionProvider",),
        encoder=files["encoder"],
        decoder=files["decoder"],
        parity=reports,
    )


def encoded(encoder: bytes, images: Array) -> Array:
    """Latents drawn from q(z | x) of real images: what a decoder meets."""
    z_mean, z_log_var = parity.session(encoder).run(None, {"image": images})
    noise = np.random.default_rng(0).standard_normal(z_mean.shape)
    latents: Array = (z_mean + np.exp(0.5 * z_log_var) * noise).astype(np.float32)
    return latents


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


@contextmanager
def _quiet() -> Iterator[None]:
    """onnxruntime's quantiser advises on the root logger."""
    logger = logging.getLogger()
    disabled, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = disabled
