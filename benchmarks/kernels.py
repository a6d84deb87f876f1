"""python -m benchmarks.kernels: how fast onnxruntime's kernels are here, for vae_export/costs.py.

Each kernel alone in a graph, on one thread: the least CPU time of many runs, without what a graph
of one small node takes. Rates are multiply-adds or numbers per nanosecond.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

import click
import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from vae_export.ort import ALL_OPTIMIZATIONS, open_session
from vae_runtime.bench import machine

LEVELS = {
    "blocked": ALL_OPTIMIZATIONS,
    # Without the highest level onnxruntime keeps its layouts plain, as it does on ARM.
    "plain": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
}
RUNS = 60
BATCH = 16
CHANNELS, SIDE = 64, 16
SHAPE = (CHANNELS, SIDE, SIDE)
WIDTH = 1024
# Of a value that no cache holds.
LARGE_SIDE = 64
CHAIN = 40

Weights = Mapping[str, NDArray[Any]]


def main() -> None:
    """Print a table of rates."""
    click.echo(f"{machine()['cpu']}, onnxruntime {onnxruntime.__version__}\n")
    click.echo("| layouts | kernel | per nanosecond |")
    click.echo("|---|---|---|")
    for name, level in LEVELS.items():
        node = node_seconds(level)
        click.echo(f"| {name} | a node, ns | {node * 1e9:.0f} |")
        for kernel, (model, shape, batch, amount) in kernels().items():
            seconds = least_seconds(model, shape, batch, level) - node
            click.echo(f"| {name} | {kernel} | {amount / (seconds * 1e9):.2f} |")


Kernel = tuple[bytes, tuple[int, ...], int, float]
NUMBERS = BATCH * CHANNELS * SIDE * SIDE


def kernels() -> dict[str, Kernel]:
    """Each with its model, the shape of an input, the batch, and what it computes or moves."""
    return convolutions() | products() | movers()


def convolutions() -> dict[str, Kernel]:
    square = {"w": weight(CHANNELS, CHANNELS, 3, 3)}
    same = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    count = NUMBERS * CHANNELS
    return {
        "Conv 3×3": (graph("Conv", square, **same), SHAPE, BATCH, 9 * count),
        "ConvTranspose 4×4": upsampling(CHANNELS, SIDE, BATCH),
        # Of 49 pixels the product fills 64 columns.
        "ConvTranspose 4×4, 7×7 pixels": upsampling(CHANNELS, 7, BATCH),
        # Rows of weights that are 8192 numbers long, turned over for every image.
        "ConvTranspose 4×4, 512 channels": upsampling(512, 4, 1),
    }


def upsampling(channels: int, side: int, batch: int) -> Kernel:
    weights = {"w": weight(channels, channels, 4, 4)}
    model = graph("ConvTranspose", weights, kernel_shape=[4, 4], strides=[2, 2], pads=[1, 1, 1, 1])
    return model, (channels, side, side), batch, 16 * batch * channels**2 * side**2


def products() -> dict[str, Kernel]:
    dense = {"w": weight(WIDTH, WIDTH)}
    left = model([helper.make_node("MatMul", ["w", "x"], ["y"])], {"w": weight(16, 16)})
    columns = SIDE * WIDTH
    return {
        "MatMul, 16 rows": (graph("MatMul", dense), (WIDTH,), BATCH, BATCH * WIDTH**2),
        "MatMul, one row": (graph("MatMul", dense), (WIDTH,), 1, WIDTH**2),
        # What it multiplies is packed first.
        "MatMul by 16×16 from the left": (left, (16, columns), 1, 16 * 16 * columns),
    }


def movers() -> dict[str, Kernel]:
    pixels = {"blocksize": 2, "mode": "DCR"}
    large = (CHANNELS, LARGE_SIDE, LARGE_SIDE)
    channels_last = graph("Transpose", {}, perm=[0, 2, 3, 1])
    return {
        "Relu": (graph("Relu", {}), SHAPE, BATCH, NUMBERS),
        "Sigmoid": (graph("Sigmoid", {}), SHAPE, BATCH, NUMBERS),
        "Transpose": (channels_last, SHAPE, BATCH, NUMBERS),
        "Transpose, from memory": (channels_last, large, BATCH, BATCH * math.prod(large)),
        "DepthToSpace": (graph("DepthToSpace", {}, **pixels), SHAPE, BATCH, NUMBERS),
    }


def weight(*shape: int) -> NDArray[Any]:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def graph(op_type: str, weights: Weights, **attributes: Any) -> bytes:
    """One node from x to y."""
    return model([helper.make_node(op_type, ["x", *weights], ["y"], **attributes)], weights)


def model(nodes: list[onnx.NodeProto], weights: Weights) -> bytes:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, None)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    initializers = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    made = helper.make_model(
        helper.make_graph(nodes, "g", [x], [y], initializers),
        opset_imports=[helper.make_opsetid("", 18)],
    )
    made.ir_version = 9
    return bytes(made.SerializeToString())


def node_seconds(level: onnxruntime.GraphOptimizationLevel) -> float:
    """What a node takes that computes nothing to speak of: the slope of a chain of them."""
    times = []
    for length in (1, CHAIN):
        nodes = []
        for i in range(length):
            source = "x" if i == 0 else f"t{i}"
            target = "y" if i == length - 1 else f"t{i + 1}"
            # Unlike most activations these aren't fused with each other.
            nodes.append(helper.make_node("Softplus", [source], [target]))
        times.append(least_seconds(model(nodes, {}), (8,), 1, level))
    return (times[1] - times[0]) / (CHAIN - 1)


def least_seconds(
    model_bytes: bytes,
    shape: tuple[int, ...],
    batch: int,
    level: onnxruntime.GraphOptimizationLevel,
) -> float:
    """The least CPU time of a run."""
    session = open_session(model_bytes, level)
    inputs = np.random.default_rng(0).standard_normal((batch, *shape)).astype(np.float32)
    times = []
    for _ in range(RUNS):
        began = time.thread_time()
        session.run(None, {"x": inputs})
        times.append(time.thread_time() - began)
    return min(times)


if __name__ == "__main__":
    main()
