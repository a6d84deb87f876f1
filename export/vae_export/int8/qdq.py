"""A graph with some of its layers in int8: static QDQ quantization by onnxruntime.

Weights have 7 bits per channel (`reduce_range`): x86 without VNNI saturates when it multiplies
unsigned by signed bytes of 8. Activations have 8.
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from vae_export.graphs import checked, remove_unused_constants
from vae_export.int8.dense import names_with_few_inputs, store_weights_as_bytes
from vae_export.int8.followers import (
    followers,
    moved_values,
    takers_by_value,
    with_only_relu,
)
from vae_export.ort import open_session
from vae_export.rewrites.operators import BYTE_MOVERS, PIXEL_MOVERS, PRODUCTS
from vae_runtime.arrays import Float32

# The sigmoid of what lies beyond is 0 or 1 but for 6e-6.
MAX_LOGIT = np.float32(12)
# SiLU of what lies below is -0.015 to 0: bits spent there are lost to what lies above.
MIN_SILU_INPUT = np.float32(-6)
# Calibration inputs in one call, which returns every watched value.
BATCH = 16
# Numbers of a value that are kept of one call.
SAMPLE_SIZE = 1 << 16

Ranges = dict[str, tuple[np.float32, np.float32]]


class OneBatch(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime is untyped: the base class is Any
    """Feeds one batch of inputs, as quantize_static wants it; the ranges don't come from there."""

    def __init__(self, name: str, inputs: Float32) -> None:
        self.feeds = iter([{name: inputs}])

    def get_next(self) -> dict[str, Float32] | None:
        return next(self.feeds, None)


class CalibratedModel:
    """A graph and a sample of its values, from which any choice of layers can be quantized."""

    def __init__(self, model: onnx.ModelProto, inputs: Float32, nodes: Sequence[str]) -> None:
        """`inputs` (N, …) are what the graph meets in use, `nodes` the names of all candidates."""
        self.model = model
        self.one_input = inputs[:1]
        self.few_inputs = names_with_few_inputs(model)
        watched = self._nodes([*nodes, *followers(model, nodes)])
        self.values = _sample_values(model, inputs, _values_at(watched))
        self.logits = {name for name in _logits(model) if name in self.values}
        for name in self.logits:
            self.values[name] = self.values[name].clip(-MAX_LOGIT, MAX_LOGIT)
        for name in _silu_inputs(model):
            if name in self.values:
                self.values[name] = self.values[name].clip(MIN_SILU_INPUT, None)

    def quantize(self, nodes: Sequence[str], percentile: float) -> bytes:
        """The graph with the nodes of these names, and those that follow them, in int8.

        The 8 bits of an activation reach `percentile` percent of its values; the rest is clipped.
        """
        dense = [name for name in nodes if name in self.few_inputs]
        computing = [name for name in nodes if name not in self.few_inputs]
        computing += followers(self.model, computing)
        int8 = self._in_bytes(computing, percentile) if computing else _copy(self.model)
        store_weights_as_bytes(int8, dense)
        return self._finished(int8)

    def _in_bytes(self, nodes: Sequence[str], percentile: float) -> onnx.ModelProto:
        """The graph with the nodes of these names, at least one, computing in bytes."""
        overrides = {}
        for name, (low, high) in self.ranges(nodes, percentile).items():
            overrides[name] = [{"rmin": low, "rmax": high}]
        with tempfile.TemporaryDirectory() as folder, _quiet():
            fp32_file = Path(folder) / "fp32.onnx"
            int8_file = Path(folder) / "int8.onnx"
            onnx.save(self.model, fp32_file)
            quantize_static(
                fp32_file,
                int8_file,
                OneBatch(self.model.graph.input[0].name, self.one_input),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                reduce_range=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                nodes_to_quantize=list(nodes),
                extra_options={"TensorQuantOverrides": overrides},
            )
            int8 = onnx.load(int8_file)
        self._leave_products_in_floats(int8, nodes)
        return int8

    def _leave_products_in_floats(self, int8: onnx.ModelProto, nodes: Sequence[str]) -> None:
        """Give what a matrix product of bytes adds up to as it is where none of `nodes` takes it.

        onnxruntime has it in float32 anyway, and only convolutions need bytes behind them. A Relu
        behind a product is the lower end of its bytes, so that keeps them.
        """
        takers_before = takers_by_value(self.model)
        takers = takers_by_value(int8)
        products = {node.name: node for node in int8.graph.node if node.op_type in PRODUCTS}
        for node in self._nodes(nodes):
            if node.op_type not in PRODUCTS or len(with_only_relu(node, takers_before)) > 1:
                continue
            product = products[node.name]
            (to_bytes,) = takers[product.output[0]]
            (to_float,) = takers[to_bytes.output[0]]
            if any(taker.name in nodes for taker in takers[to_float.output[0]]):
                continue
            product.output[0] = to_float.output[0]
            int8.graph.node.remove(to_bytes)
            int8.graph.node.remove(to_float)
        remove_unused_constants(int8)

    def ranges(self, nodes: Sequence[str], percentile: float) -> Ranges:
        """What the 8 bits of each value at these nodes reach, from lowest to highest.

        All that is moved into the same place has one range, so that moving it copies bytes.
        """
        chosen = self._nodes(nodes)
        cut = (1 - percentile / 100) / 2
        ranges: Ranges = {}
        for name in _values_at(chosen):
            if name in self.values:
                low, high = np.quantile(self.values[name], (cut, 1 - cut)).astype(np.float32)
                ranges[name] = (low, high)
        for group in _groups_that_share_a_range(chosen):
            lows, highs = zip(*[ranges[name] for name in group], strict=True)
            for name in group:
                ranges[name] = (min(lows), max(highs))
        return ranges

    def _nodes(self, names: Collection[str]) -> list[onnx.NodeProto]:
        return [node for node in self.model.graph.node if node.name in names]

    def _finished(self, int8: onnx.ModelProto) -> bytes:
        """Without the quantizer's notes, and with metadata that says what the graph is."""
        int8.ir_version = self.model.ir_version
        int8.producer_name = self.model.producer_name
        int8.graph.ClearField("value_info")
        for entry in int8.metadata_props:
            if entry.key == "precision":
                entry.value = "int8"
        return bytes(checked(int8).SerializeToString())


def _values_at(nodes: Sequence[onnx.NodeProto]) -> list[str]:
    """The names of what these nodes take and make, each once."""
    names: dict[str, None] = {}
    for node in nodes:
        names |= dict.fromkeys(node.input)
        names |= dict.fromkeys(node.output)
    return list(names)


def _groups_that_share_a_range(nodes: Sequence[onnx.NodeProto]) -> list[set[str]]:
    """The values that movers bring together; groups that share a value are one."""
    groups: list[set[str]] = []
    for node in nodes:
        if node.op_type not in BYTE_MOVERS:
            continue
        merged = {*moved_values(node), *node.output}
        apart = []
        for group in groups:
            if group & merged:
                merged |= group
            else:
                apart.append(group)
        groups = [*apart, merged]
    return groups


def _logits(model: onnx.ModelProto) -> list[str]:
    """The values that nothing but a sigmoid sees, moved about or not."""
    uses: dict[str, int] = {}
    for node in model.graph.node:
        for name in set(node.input):
            uses[name] = uses.get(name, 0) + 1
    names: list[str] = []
    for node in reversed(model.graph.node):
        moves_logits = node.op_type in PIXEL_MOVERS and node.output[0] in names
        if node.op_type == "Sigmoid" or moves_logits:
            names += [name for name in moved_values(node) if uses[name] == 1]
    return names


def _silu_inputs(model: onnx.ModelProto) -> list[str]:
    """The values x that nothing but x · sigmoid(x) sees, one unit in two nodes."""
    names = []
    for sigmoid in model.graph.node:
        if sigmoid.op_type != "Sigmoid":
            continue
        name = sigmoid.input[0]
        takers = [node for node in model.graph.node if name in node.input]
        products = [node for node in takers if node.op_type == "Mul"]
        if len(takers) == 2 and products and sigmoid.output[0] in products[0].input:
            names.append(name)
    return names


def _sample_values(
    model: onnx.ModelProto, inputs: Float32, names: Sequence[str]
) -> dict[str, Float32]:
    """Numbers drawn from the named float32 values, flat, with their extremes."""
    session = open_session(_returning(model, names))
    input_name = model.graph.input[0].name
    outputs = [output.name for output in session.get_outputs() if output.type == "tensor(float)"]
    samples: dict[str, list[Float32]] = {name: [] for name in (input_name, *outputs)}
    rng = np.random.default_rng(0)
    for start in range(0, len(inputs), BATCH):
        batch = inputs[start : start + BATCH]
        values = [batch, *session.run(outputs, {input_name: batch})]
        for name, value in zip(samples, values, strict=True):
            # At random: with a stride one would see the same columns of every row.
            drawn = rng.choice(value.ravel(), min(value.size, SAMPLE_SIZE))
            samples[name].append(np.append(drawn, (value.min(), value.max())))
    return {name: np.concatenate(parts) for name, parts in samples.items()}


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    return copied


def _returning(model: onnx.ModelProto, names: Sequence[str]) -> bytes:
    """The model with the named values that it computes as further outputs."""
    watched = _copy(model)
    outputs = {output.name for output in model.graph.output}
    wanted = set(names) - outputs
    for node in model.graph.node:
        for name in node.output:
            if name in wanted:
                watched.graph.output.append(helper.make_empty_tensor_value_info(name))
    return bytes(watched.SerializeToString())


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence onnxruntime's quantizer, which logs advice to the root logger and prints progress."""
    logger = logging.getLogger()
    was_disabled = logger.disabled
    logger.disabled = True
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.disabled = was_disabled
