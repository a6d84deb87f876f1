"""Which layers are quantized, and which stay in fp32 because they cost too much ELBO."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import onnx
from tqdm import tqdm

from vae_export.int8.dense import names_with_few_inputs
from vae_export.int8.followers import takers_by_value, with_only_relu
from vae_export.int8.qdq import CalibratedModel
from vae_export.rewrites.editor import attributes
from vae_export.rewrites.operators import MIN_QUANTIZED_CHANNELS, PRODUCTS, QUANTIZABLE
from vae_runtime.arrays import Float32

# Percent of an activation's values that its 8 bits reach; the rest is clipped.
CLIPPING_PERCENTILES = (100.0, 99.99, 99.95, 99.9)

# The names of nodes that are quantized together.
Layer = tuple[str, ...]
# A graph -> how many nats of ELBO it costs in place of the fp32 one.
Cost = Callable[[bytes], float]
# An int8 graph -> the same with its error repaired.
Correction = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Candidate:
    """A graph with some layers in int8, and the nats of ELBO that it costs."""

    model_bytes: bytes
    cost: float


@dataclass(frozen=True)
class SearchResult:
    """The graph that was found and its cost in nats.

    Where no layer can stay in int8, `model_bytes` is None and `cost` what the last try would have
    cost; infinity where there was nothing to try.
    """

    model_bytes: bytes | None
    cost: float


@dataclass(frozen=True)
class Trials:
    """Quantizes choices of layers and has each judged."""

    calibrated: CalibratedModel
    cost: Cost
    correct: Correction | None
    progress: tqdm

    def quantize(self, layers: Sequence[Layer], percentile: float) -> Candidate:
        nodes = [name for layer in layers for name in layer]
        model_bytes = self.calibrated.quantize(nodes, percentile)
        if self.correct is not None:
            model_bytes = self.correct(model_bytes)
        cost = self.cost(model_bytes)
        self.progress.update()
        if not math.isfinite(cost):
            cost = math.inf
        return Candidate(model_bytes, cost)


def quantize_within_budget(
    model_bytes: bytes,
    inputs: Float32,
    cost: Cost,
    budget: float,
    correct: Correction | None = None,
) -> SearchResult:
    """Quantize as many layers of an fp32 graph as `budget` nats of ELBO pay for.

    `inputs` (N, …) calibrate; `cost` judges each graph that is tried, once `correct` has repaired
    it. First the clipping that costs least is chosen with all layers in int8; then those that cost
    most alone go back to fp32, one after the other.
    """
    model = onnx.load_from_string(model_bytes)
    layers = layers_worth_quantizing(model)
    if not layers:
        return SearchResult(None, math.inf)
    nodes = [name for layer in layers for name in layer]
    calibrated = CalibratedModel(model, inputs, nodes)
    trial_count = len(CLIPPING_PERCENTILES)
    quiet = not sys.stderr.isatty()
    with tqdm(total=trial_count, desc="int8", disable=quiet, leave=False, delay=1) as progress:
        trials = Trials(calibrated, cost, correct, progress)
        percentile, best = cheapest_clipping(trials, layers)
        if best.cost > budget and len(layers) > 1:
            # Each layer alone, and at most as many choices of several.
            progress.total = trial_count + 2 * len(layers) - 1
            costs = cost_of_each_layer(trials, layers, percentile)
            ordered = _in_order_of_worth(layers, costs, calibrated, budget)
            best = drop_layers_until_within(trials, ordered, percentile, budget)
    if best.cost > budget:
        return SearchResult(None, best.cost)
    return SearchResult(best.model_bytes, best.cost)


def cheapest_clipping(trials: Trials, layers: Sequence[Layer]) -> tuple[float, Candidate]:
    """The percentile at which all layers together cost least, and the graph."""
    percentile = CLIPPING_PERCENTILES[0]
    best = trials.quantize(layers, percentile)
    for other in CLIPPING_PERCENTILES[1:]:
        candidate = trials.quantize(layers, other)
        if candidate.cost < best.cost:
            percentile = other
            best = candidate
    return percentile, best


def cost_of_each_layer(
    trials: Trials, layers: Sequence[Layer], percentile: float
) -> dict[Layer, float]:
    """What each layer costs when it alone is in int8."""
    costs = {}
    for layer in layers:
        costs[layer] = trials.quantize([layer], percentile).cost
    return costs


def drop_layers_until_within(
    trials: Trials, ordered: Sequence[Layer], percentile: float, budget: float
) -> Candidate:
    """The graph with as many of `ordered` in int8 as `budget` allows, from the first on.

    All of them together were tried before; where even the first alone costs too much, its graph.
    """
    for kept in range(len(ordered) - 1, 0, -1):
        candidate = trials.quantize(ordered[:kept], percentile)
        if candidate.cost <= budget:
            break
    return candidate


def layers_worth_quantizing(model: onnx.ModelProto) -> list[Layer]:
    """The convolutions and matrix products that gain from int8, each with the Relu behind it.

    Together, the 8 bits of the result reach from zero to its largest value. Without the Relu they
    would have to reach down to the most negative one too, which costs ten times the ELBO. Of dense
    layers with few inputs the weights alone become bytes.
    """
    weight_dims = {tensor.name: tensor.dims for tensor in model.graph.initializer}
    stored = names_with_few_inputs(model)
    takers = takers_by_value(model)
    layers: list[Layer] = []
    for node in model.graph.node:
        dims = weight_dims.get(node.input[1]) if node.op_type in QUANTIZABLE else None
        if dims is None or not _is_wide(node, dims):
            continue
        # Another node may take the weight turned over, and scales are by output.
        is_shared = node.op_type in PRODUCTS and len(takers[node.input[1]]) > 1
        # onnxruntime's quantizer takes a bias for one that is added as it is.
        scales_bias = attributes(node).get("beta", 1) != 1
        if is_shared or scales_bias:
            continue
        nodes = [node] if node.name in stored else with_only_relu(node, takers)
        layers.append(tuple(part.name for part in nodes))
    return layers


def _is_wide(node: onnx.NodeProto, weight_dims: Sequence[int]) -> bool:
    """Whether it has channels enough; of a convolution those that it takes count.

    onnxruntime has no product of bytes with a weight of other than two dimensions.
    """
    if node.op_type == "Conv":
        return weight_dims[1] >= MIN_QUANTIZED_CHANNELS
    return len(weight_dims) == 2 and min(weight_dims) >= MIN_QUANTIZED_CHANNELS


def _in_order_of_worth(
    layers: Sequence[Layer], costs: dict[Layer, float], calibrated: CalibratedModel, budget: float
) -> list[Layer]:
    """Layers that should stay in int8 first: the one that makes the logits, then the cheapest.

    The layer of the logits was rewritten for int8; in fp32 it is slow. Where it alone costs more
    than the budget it can't stay.
    """
    makes_logits = set()
    for node in calibrated.model.graph.node:
        if calibrated.logits.intersection(node.output):
            makes_logits.add(node.name)

    def rank(layer: Layer) -> tuple[bool, float]:
        stays = not makes_logits.isdisjoint(layer) and costs[layer] <= budget
        return not stays, costs[layer]

    return sorted(layers, key=rank)
