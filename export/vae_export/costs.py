"""How long a graph takes, reckoned from its nodes: which of two is faster, the same everywhere.

A clock's answer depends on the machine and on what else it does, so it isn't asked: the same model
gives the same bundle on every machine. A node takes what it computes over the rate of its kernel,
or what it reads of its weights where that takes longer, or the numbers that it moves; and each node
a little by itself. The rates are those that `python -m benchmarks.kernels` measures, of one thread
of an x86-64 CPU with AVX2, and for plain layouts the instructions of an ARM core; what counts are
their ratios, which differ less between CPUs than they do between kernels. How near this comes is in
docs/experiments.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from vae_export.rewrites.convolutions import TO_CHANNELS_LAST
from vae_export.rewrites.operators import BYTE_MOVERS, QUANTIZABLE
from vae_runtime.engine.conditions import (
    ARM64,
    BLOCKED_LAYOUTS,
    INTEGER_DOT_PRODUCTS,
    PLAIN_LAYOUTS,
    Condition,
)
from vae_runtime.graphs.model import Graph, Node, read_graph
from vae_runtime.graphs.operators import OPERATORS
from vae_runtime.graphs.shapes import Call, Shape, Value

# Of float32 in half of a core's own cache; the other half holds what is computed from them.
CACHED_NUMBERS = 1 << 16
# Of float32 beyond which a value, or all constants together, come from memory.
FAR_NUMBERS = 1 << 20
FAR_CONSTANTS = 1 << 23
# Rows of numbers that are so many apart share the same few places of a cache: turning them over
# takes as many times as long.
ALIASED_NUMBERS = 4096
ALIASING = 4
# Outputs of a product of bytes that are computed at once, however few there are.
INT8_COLUMNS = 16
# Batches that a variant has to be faster at.
BATCHES = (1, 32)
# What is reckoned to gain less isn't worth another file, and may be a loss in truth. Plain layouts
# are those of ARM, where instructions were counted but no time was measured.
MIN_GAINS: dict[Condition, float] = {BLOCKED_LAYOUTS: 1.07, PLAIN_LAYOUTS: 1.15}


@dataclass(frozen=True)
class Rates:
    """Of one way to run a graph: multiply-adds or numbers per nanosecond; nanoseconds of a node.

    `block` channels of a convolution are computed at once, however few there are, and `columns`
    pixels of an image in a transposed one.
    """

    convolution: float
    transposed: float
    product: float
    # Of the pixels that a convolution by a matrix product gathers before it.
    gathering: float
    # Of what a transposed convolution reads, which it brings into the order of a product's right
    # side for every image, of its weights, which it turns over, and of the products that it adds up
    # by pixel.
    packing: float
    turning: float
    adding: float
    weights: float
    # Of weights that no cache keeps until the next image.
    weights_far: float
    # Of a product's weights while several rows are multiplied with them.
    panels: float
    # Numbers in a core's own cache move `caching` times as fast, those in memory as slowly.
    caching: float
    moving: float
    arithmetic: float
    transcendental: float
    shuffling: float
    # To blocks of channels and back.
    reordering: float
    node: float
    block: int
    columns: int
    # How many times as many products of bytes as of floats.
    int8: float


# `python -m benchmarks.kernels`, AMD EPYC with AVX2, onnxruntime 1.32.0.
RATES: dict[Condition, Rates] = {
    BLOCKED_LAYOUTS: Rates(
        convolution=40,
        transposed=40,
        product=37,
        gathering=1.2,
        packing=2,
        turning=4,
        adding=1.5,
        weights=10,
        weights_far=3,
        panels=4,
        caching=1.8,
        moving=2.3,
        arithmetic=4.5,
        transcendental=1.8,
        shuffling=0.3,
        reordering=2.3,
        node=1500,
        block=8,
        columns=16,
        # Of AVX2: `python -m benchmarks.zoo`, docs/experiments.md.
        int8=1.6,
    ),
    # Per instruction of a Cortex-A72, not per nanosecond: `python -m benchmarks.instructions` on
    # graphs of single nodes; onnxruntime 1.26.0. What counts is the ratio of two graphs.
    PLAIN_LAYOUTS: Rates(
        convolution=2.6,
        transposed=3.1,
        product=3.1,
        gathering=0.25,
        packing=math.inf,
        turning=2,
        adding=0.1,
        weights=2,
        weights_far=math.inf,
        panels=math.inf,
        caching=1,
        moving=0.9,
        arithmetic=0.5,
        transcendental=0.1,
        shuffling=0.056,
        reordering=math.inf,
        node=5000,
        block=1,
        columns=1,
        int8=1.0,
    ),
}
# An x86-64 with VNNI; not measured, but what the int8 graphs of an earlier table came to.
RATES[INTEGER_DOT_PRODUCTS] = replace(RATES[BLOCKED_LAYOUTS], int8=2.5)
# Of signed bytes, per instruction of a Cortex-A76, windows and rounding included.
RATES[ARM64] = replace(RATES[PLAIN_LAYOUTS], int8=2.4)

# Of what a graph computes, by operator; others count as arithmetic on their largest tensor.
FREE = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Shape", "Constant"})
MOVERS = frozenset({"Transpose", "Concat", "Slice", "Pad", "Resize", "Expand", "Gather", "Split"})
TRANSCENDENTAL = frozenset({"Sigmoid", "Tanh", "Exp", "Erf", "Gelu", "Softplus", "Elu", "Softmax"})
SHUFFLES = frozenset({"DepthToSpace", "SpaceToDepth"})
# onnxruntime computes these while it writes a convolution's or a product's result.
FUSED = frozenset({"Relu", "LeakyRelu", "Sigmoid", "Tanh", "Clip", "HardSigmoid"})
# What onnxruntime computes on blocks of channels, where its inputs are such.
BLOCKED = frozenset({"Add", "Concat", "Resize", "MaxPool", "AveragePool", *FUSED})


class _Costs:
    """The nodes of a graph, one after another, for one batch."""

    def __init__(self, graph: Graph, rates: Rates, batch: int) -> None:
        self.graph = graph
        self.rates = rates
        self.batch = batch
        self.values: dict[str, Value] = {}
        self.makers: dict[str, Node] = {}
        self.takers: dict[str, list[Node]] = {}
        self.blocked: set[str] = set()
        # Constants, and what is computed from them alone.
        self.known = set(graph.initializers)
        for name, tensor in graph.initializers.items():
            self.values[name] = Value(tuple((size, 0) for size in tensor.shape), constant=tensor)
        for port in graph.inputs:
            sizes = [size for size in port.shape if isinstance(size, int)]
            self.values[port.name] = Value(((1, 1), *((size, 0) for size in sizes)))
        for node in graph.nodes:
            self.makers.update(dict.fromkeys(node.outputs, node))
            for name in node.inputs:
                self.takers.setdefault(name, []).append(node)
            if all(name in self.known for name in node.inputs if name):
                self.known.update(node.outputs)
        numbers = sum(math.prod(tensor.shape) for tensor in graph.initializers.values())
        far = rates.weights_far if numbers > FAR_CONSTANTS else math.inf
        self.first_read = min(rates.weights, far)
        self.panels = min(rates.panels, far)

    def total(self) -> float:
        """Nanoseconds. Raises GraphError for what bundles don't hold."""
        total = 0.0
        for node in self.graph.nodes:
            inputs = [self.values[name] if name else None for name in node.inputs]
            results = OPERATORS[node.domain][node.operator](Call(node, inputs))
            self.values.update(zip(node.outputs, results, strict=False))
            if not self._is_known(node):
                total += self._of(node)
        return total

    def _is_known(self, node: Node) -> bool:
        """Whether onnxruntime computes the node once and for all: what it takes is constant."""
        if self.known.issuperset(node.outputs):
            return True
        return all(self.values[name].numbers is not None for name in node.outputs if name)

    def _of(self, node: Node) -> float:
        rates = self.rates
        made = self._count(node.outputs[0])
        moved = max([made, *(self._count(name) for name in node.inputs if self._is_computed(name))])
        if node.operator in ("QuantizeLinear", "DequantizeLinear"):
            return self._conversion(node, made)
        if node.operator == "Conv":
            return self._convolution(node)
        if node.operator == "ConvTranspose":
            return self._transposed(node)
        if node.operator in QUANTIZABLE:
            return self._product(node)
        if self._is_gate(node):
            return 0.0
        if node.operator in FUSED and self._is_fused(node):
            self._inherit_blocks(node)
            return 0.0
        reordering = self._reordering(node)
        if node.operator in FREE:
            return rates.node + reordering
        if reordering and self._is_to_channels_last(node):
            # Blocks are brought in this order as they are taken apart.
            return reordering
        if node.operator in SHUFFLES:
            return rates.node + reordering + moved / rates.shuffling
        if node.operator in MOVERS:
            return rates.node + reordering + self._moving(moved) * self._byte_share(node)
        if node.operator in TRANSCENDENTAL or self._is_gated(node):
            return rates.node + reordering + moved / rates.transcendental
        return rates.node + reordering + moved / rates.arithmetic

    def _moving(self, numbers: float) -> float:
        return numbers / self.rates.moving / self._closeness(numbers)

    def _closeness(self, numbers: float) -> float:
        """How many times as fast so many numbers are at hand as those of a middling value."""
        if numbers <= CACHED_NUMBERS:
            return self.rates.caching
        return 1 / self.rates.caching if numbers > FAR_NUMBERS else 1.0

    def _convolution(self, node: Node) -> float:
        weight = self._shape(node.inputs[1])
        out = weight[0]
        block = self.rates.block
        rate = self.rates.convolution
        if self._is_int8(node):
            block = INT8_COLUMNS
            rate *= self.rates.int8
        elif block > 1:
            self.blocked.add(node.outputs[0])
        pixels = self._count(node.outputs[0]) / out
        filled = math.ceil(out / block) * block
        products = pixels * filled * math.prod(weight[1:])
        time = self.rates.node + products / rate + self._reading(weight, self.rates.weights)
        if self._is_int8(node):
            return time
        if self.rates.block > 1:
            return time + self._fill(node, weight[1] > 3)
        gathered = pixels * math.prod(weight[1:]) if math.prod(weight[2:]) > 1 else 0.0
        return time + gathered / self.rates.gathering

    def _fill(self, node: Node, reads_blocks: bool) -> float:
        """Bringing a convolution's input into blocks of channels, unless it is in them."""
        if not reads_blocks or node.inputs[0] in self.blocked:
            return 0.0
        return self._reorder(node.inputs[0])

    def _transposed(self, node: Node) -> float:
        weight = self._shape(node.inputs[1])
        pixels = self._count(node.inputs[0]) / weight[0]
        width = self.rates.columns
        filled = self.batch * math.ceil(pixels / self.batch / width) * width
        outputs = math.prod(weight[1:])
        time = filled * outputs * weight[0] / self.rates.transposed
        is_aliased = self.rates.block > 1 and outputs % ALIASED_NUMBERS == 0
        turning = self.rates.turning / (ALIASING if is_aliased else 1)
        time += self._reading(weight, turning)
        time += pixels * weight[0] / self.rates.packing + pixels * outputs / self.rates.adding
        return self.rates.node + self._reordering(node) + time

    def _reading(self, weight: Sequence[float], rate: float) -> float:
        """A convolution's weights, read for every image anew where no cache keeps them."""
        numbers = math.prod(weight)
        if numbers <= CACHED_NUMBERS:
            return 0.0
        return numbers / min(rate, self.first_read) + (self.batch - 1) * numbers / rate

    def _product(self, node: Node) -> float:
        """Of a Gemm or MatMul; the rows are what the batch and other axes have in common."""
        inner = self._shape(node.inputs[0])[-1]
        products = self._count(node.outputs[0]) * inner
        gain = self.rates.int8 if self._is_int8(node) else 1.0
        right = self._count(node.inputs[1])
        time = products / self.rates.product
        if node.inputs[1] in self.known:
            time = max(time + right / self.panels, right / self.first_read) / gain
        else:
            time = time / gain + right / self.rates.packing
        return self.rates.node + self._reordering(node) + time

    def _conversion(self, node: Node, made: float) -> float:
        """To bytes or back: between two nodes that compute in bytes there is none."""
        if self.values[node.inputs[0]].constant is not None:
            return 0.0
        if node.operator == "DequantizeLinear":
            near = self.takers.get(node.outputs[0], [])
            others = [taker for taker in near if not self._takes_bytes(taker)]
        else:
            maker = self.makers.get(node.inputs[0])
            others = [] if maker is not None and self._takes_bytes(maker) else [node]
        if not others:
            return 0.0
        return self.rates.node + made / self.rates.moving

    def _takes_bytes(self, node: Node) -> bool:
        if node.operator in FUSED:
            maker = self.makers.get(node.inputs[0])
            return maker is not None and maker.operator in QUANTIZABLE and self._takes_bytes(maker)
        if node.operator == "Add":
            return self._adds_bytes(node)
        return node.operator in QUANTIZABLE | BYTE_MOVERS and self._is_int8(node)

    def _adds_bytes(self, node: Node) -> bool:
        parts = [self.makers.get(name) for name in node.inputs]
        takers = self.takers.get(node.outputs[0], [])
        if any(part is None or part.operator != "DequantizeLinear" for part in parts):
            return False
        return all(taker.operator == "QuantizeLinear" for taker in takers)

    def _is_int8(self, node: Node) -> bool:
        """Whether what the node takes are bytes, which onnxruntime then multiplies as such."""
        maker = self.makers.get(node.inputs[0])
        return maker is not None and maker.operator == "DequantizeLinear"

    def _byte_share(self, node: Node) -> float:
        return 0.25 if self._is_int8(node) else 1.0

    def _is_fused(self, node: Node) -> bool:
        maker = self.makers.get(node.inputs[0])
        if maker is None or maker.operator not in QUANTIZABLE:
            return False
        return len(self.takers[node.inputs[0]]) == 1

    def _is_gate(self, node: Node | None) -> bool:
        """Whether it is the Sigmoid of x · sigmoid(x), which onnxruntime makes one node."""
        if node is None or node.operator != "Sigmoid":
            return False
        takers = self.takers.get(node.outputs[0], [])
        if len(takers) != 1 or takers[0].operator != "Mul":
            return False
        return node.inputs[0] in takers[0].inputs

    def _is_gated(self, node: Node) -> bool:
        return any(self._is_gate(self.makers.get(name)) for name in node.inputs)

    def _inherit_blocks(self, node: Node) -> None:
        if all(name in self.blocked for name in node.inputs if self._is_computed(name)):
            self.blocked.update(node.outputs)

    def _is_to_channels_last(self, node: Node) -> bool:
        order = node.attributes.get("perm")
        return node.operator == "Transpose" and order == TO_CHANNELS_LAST

    def _reordering(self, node: Node) -> float:
        """Bringing blocks of channels back in order, where the node can't read them as they are."""
        in_blocks = [name for name in node.inputs if name in self.blocked]
        if not in_blocks:
            return 0.0
        if node.operator in BLOCKED:
            self._inherit_blocks(node)
            if node.outputs[0] in self.blocked:
                return 0.0
        time = 0.0
        for name in in_blocks:
            # Once, whoever else takes the value.
            self.blocked.discard(name)
            time += self._reorder(name)
        return time

    def _reorder(self, name: str) -> float:
        count = self._count(name)
        return self.rates.node + count / self.rates.reordering / self._closeness(count)

    def _is_computed(self, name: str) -> bool:
        return bool(name) and name not in self.known

    def _count(self, name: str) -> float:
        return math.prod(self._shape(name))

    def _shape(self, name: str) -> list[float]:
        return self._sizes(self.values[name].shape)

    def _sizes(self, shape: Shape) -> list[float]:
        return [count * self.batch**power for count, power in shape]


def reckoned(model_bytes: bytes, layouts: Condition) -> list[float]:
    """How long a graph is reckoned to take at each of `BATCHES`, on one thread with these layouts.

    In nanoseconds, with plain layouts in instructions. Raises GraphError for a graph that bundles
    can't hold.
    """
    graph = read_graph(model_bytes)
    return [_Costs(graph, RATES[layouts], batch).total() for batch in BATCHES]


def mean_gain(candidate: Sequence[float], baseline: Sequence[float]) -> float:
    """How many times as fast, as the geometric mean over batches; 0 where it loses at one."""
    ratios = [before / after for before, after in zip(baseline, candidate, strict=True)]
    if min(ratios) < 1:
        return 0.0
    return math.prod(ratios) ** (1 / len(ratios))


def is_faster(candidate: bytes, baseline: bytes, layouts: Condition) -> bool:
    """Whether `candidate` gains enough on the whole, see `MIN_GAINS`, and loses at no batch."""
    return gain(candidate, baseline, layouts) >= MIN_GAINS[layouts]


def gain(candidate: bytes, baseline: bytes, layouts: Condition) -> float:
    """The `mean_gain` of one graph over another."""
    return mean_gain(reckoned(candidate, layouts), reckoned(baseline, layouts))
