"""A graph with some of its layers in int8: static QDQ quantisation by onnxruntime, per-channel 7-bit weights.

x86 without VNNI saturates when it multiplies unsigned by signed bytes, so weights use 7 bits (`reduce_range`).
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from vae_export.graphs import checked
from vae_export.parity import session

Array = NDArray[np.float32]
MOVERS = ("Concat", "Reshape", "Transpose")  # they copy bytes as well as numbers
LOGIT_REACH = np.float32(12)  # the sigmoid of what lies beyond is 0 or 1 but for 6e-6
BATCH = 16  # calibration inputs in one call, which returns every watched value
SAMPLE = 1 << 16  # numbers of a value that are kept of one call

Ranges = dict[str, tuple[np.float32, np.float32]]


class OneBatch(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime is untyped, so its base class is Any
    """Feeds one batch of inputs, as quantize_static wants it; the ranges don't come from there."""

    def __init__(self, name: str, inputs: Array) -> None:
        self.feeds = iter([{name: inputs}])

    def get_next(self) -> dict[str, Array] | None:
        return next(self.feeds, None)


class Calibrated:
    """A graph and a sample of the values in it, from which any choice of layers and clipping can be quantised."""

    def __init__(self, model: onnx.ModelProto, inputs: Array, nodes: Sequence[str]) -> None:
        """`inputs` (N, …) are what the graph meets in use, `nodes` the names of all that may be quantised."""
        self.model, self.few = model, inputs[:1]
        around = [n for n in model.graph.node if n.name in {*nodes, *self._movers(nodes)}]
        self.values = _sampled(model, inputs, {name for node in around for name in (*node.input, *node.output)})
        self.logits = {name for name in _logits(model) if name in self.values}
        for name in self.logits:
            self.values[name] = self.values[name].clip(-LOGIT_REACH, LOGIT_REACH)

    def in_int8(self, nodes: Sequence[str], percentile: float) -> bytes:
        """The graph with the nodes of these names, and what only moves their results about, in int8.

        The 8 bits of an activation reach `percentile` percent of its values; the rest is clipped.
        """
        nodes = [*nodes, *self._movers(nodes)]
        ranges = self._ranges(nodes, percentile)
        with tempfile.TemporaryDirectory() as folder, _quiet():
            source, target = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
            onnx.save(self.model, source)
            quantize_static(
                source,
                target,
                OneBatch(self.model.graph.input[0].name, self.few),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                reduce_range=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                nodes_to_quantize=nodes,
                extra_options={
                    "TensorQuantOverrides": {k: [{"rmin": low, "rmax": high}] for k, (low, high) in ranges.items()}
                },
            )
            int8 = onnx.load(target)
        int8.ir_version, int8.producer_name = self.model.ir_version, self.model.producer_name
        int8.graph.ClearField("value_info")
        for entry in int8.metadata_props:
            if entry.key == "precision":
                entry.value = "int8"
        return bytes(checked(int8).SerializeToString())

    def _movers(self, nodes: Sequence[str]) -> list[str]:
        """The nodes that copy results of `nodes` and nothing else."""
        in_bytes = {name for node in self.model.graph.node if node.name in nodes for name in node.output}
        movers = []
        for node in self.model.graph.node:
            if node.op_type in MOVERS and set(_moved(node)) <= in_bytes:
                in_bytes.add(node.output[0])
                movers.append(node.name)
        return movers

    def _ranges(self, nodes: Sequence[str], percentile: float) -> Ranges:
        """What the 8 bits of each value at these nodes reach; one range for all that is moved into the same place."""
        chosen = [node for node in self.model.graph.node if node.name in nodes]
        names = {name for node in chosen for name in (*node.input, *node.output) if name in self.values}
        cut = (1 - percentile / 100) / 2
        ranges = {name: tuple(np.quantile(self.values[name], (cut, 1 - cut)).astype(np.float32)) for name in names}
        together = [[*_moved(node), *node.output] for node in chosen if node.op_type in MOVERS]
        while apart := [group for group in together if len({ranges[name] for name in group}) > 1]:
            for group in apart:
                low, high = min(ranges[name][0] for name in group), max(ranges[name][1] for name in group)
                ranges |= dict.fromkeys(group, (low, high))
        return ranges


def _moved(node: onnx.NodeProto) -> list[str]:
    """The values that a mover copies."""
    return list(node.input if node.op_type == "Concat" else node.input[:1])


def _logits(model: onnx.ModelProto) -> list[str]:
    """The values that nothing but a sigmoid sees, moved about or not."""
    names: list[str] = []
    for node in reversed(model.graph.node):
        if node.op_type == "Sigmoid" or (node.op_type in (*MOVERS, "DepthToSpace") and node.output[0] in names):
            for name in _moved(node):
                if sum(name in taker.input for taker in model.graph.node) == 1:
                    names.append(name)
    return names


def _sampled(model: onnx.ModelProto, inputs: Array, names: set[str]) -> dict[str, Array]:
    """Numbers drawn from the named values as far as they are computed in float32, flat, with their extremes."""
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    known = {output.name for output in model.graph.output}
    made = [name for node in model.graph.node for name in node.output if name in names - known]
    watched.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in made)
    graph = session(watched.SerializeToString())
    outputs = [output.name for output in graph.get_outputs() if output.type == "tensor(float)"]
    random, given = np.random.default_rng(0), model.graph.input[0].name
    samples: dict[str, list[Array]] = {name: [] for name in (given, *outputs)}
    for start in range(0, len(inputs), BATCH):
        some = inputs[start : start + BATCH]
        for name, value in zip(samples, (some, *graph.run(outputs, {given: some})), strict=True):
            drawn = random.choice(value.ravel(), min(value.size, SAMPLE))
            samples[name].append(np.append(drawn, (value.min(), value.max())))
    return {name: np.concatenate(parts) for name, parts in samples.items()}


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
