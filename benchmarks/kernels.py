"""python -m benchmarks.kernels: how fast onnxruntime's kernels are here, for vae_export/costs.py.

Each kernel alone in a graph, on one thread: the least CPU time of many runs, without what a graph
of one small node takes. Rates are multiply-adds or numbers per nanosecond.
"""

from __future__ import annotations

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


def kernels() -> dict[str, tuple[bytes, tuple[int, ...], int, float]]:
    """Each with its model, the shape of an input, the batch, and what it computes or moves."""
    numbers = BATCH * CHANNELS * SIDE * SIDE
    products = numbers * CHANNELS
    square = {"w": weight(CHANNELS, CHANNELS, 3, 3)}
    doubling = {"w": weight(CHANNELS, CHANNELS, 4, 4)}
    upsampling = {"kernel_shape": [4, 4], "strides": [2, 2], "pads": [1, 1, 1, 1]}
    dense = {"w": weight(WIDTH, WIDTH)}
    pixels = {"blocksize": 2, "mode": "DCR"}
    same = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    return {
        "Conv 3×3": (graph("Conv", square, **same), SHAPE, BATCH, 9 * products),
        "ConvTranspose 4×4": (
            graph("ConvTranspose", doubling, **upsampling),
            SHAPE,
            BATCH,
            16 * products,
        ),
        "MatMul, 16 rows": (graph("MatMul", dense), (WIDTH,), BATCH, BATCH * WIDTH**2),
        "MatMul, one row": (graph("MatMul", dense), (WIDTH,), 1, WIDTH**2),
        "Relu": (graph("Relu", {}), SHAPE, BATCH, numbers),
        "Sigmoid": (graph("Sigmoid", {}), SHAPE, BATCH, numbers),
        "Transpose": (graph("Transpose", {}, perm=[0, 2, 3, 1]), SHAPE, BATCH, numbers),
        "DepthToSpace": (graph("DepthToSpace", {}, **pixels), SHAPE, BATCH, numbers),
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
