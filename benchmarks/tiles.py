"""python -m benchmarks.tiles: layers in tiles against onnxruntime's convolutions, as a table.

A 3×3 convolution, or the four phases of a 4×4 transposed one of stride 2, alone in a graph with a
ReLU behind it, beside the same layer by Winograd's filtering (vae_export/rewrites/winograd.py):
CPU time of one thread in turns, and what vae_export/costs.py reckons.
"""

from __future__ import annotations

from typing import Any
from unittest import mock

import click
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from benchmarks.speed import speedup
from vae_export.costs import BATCHES, reckoned
from vae_export.rewrites import rewrite, winograd
from vae_export.rewrites.phases import stack_phases
from vae_runtime.bench import machine
from vae_runtime.engine.conditions import BLOCKED_LAYOUTS

# Channels in and out, and the side of the input.
CONVOLUTIONS = (
    (512, 512, 32),
    (512, 512, 16),
    (512, 512, 8),
    (256, 256, 16),
    (256, 256, 8),
    (512, 256, 4),
    (128, 128, 16),
    (128, 128, 8),
)
UPSAMPLINGS = ((1024, 512, 8), (512, 256, 16), (256, 256, 16), (256, 128, 8), (128, 64, 16))


def main() -> None:
    """Measure each layer, also where the exporter wouldn't take tiles."""
    click.echo(f"{machine()['cpu']}, onnxruntime {onnxruntime.__version__}\n")
    click.echo("| layer | channels | pixels | gain, batch 1; 32 | reckoned |")
    click.echo("|---|---|---|---|---|")
    with mock.patch.object(winograd, "MIN_CHANNELS", 1):
        for layer in CONVOLUTIONS:
            show("3×3", layer, *convolution(*layer))
        for layer in UPSAMPLINGS:
            show("4×4, transposed", layer, *upsampling(*layer))


def convolution(inside: int, out: int, side: int) -> tuple[bytes, bytes]:
    """The layer as it is, and in tiles."""
    model = layer_model("Conv", (out, inside, 3, 3), inside, side)
    tiled = rewrite(model, [winograd.filter_convolution])
    assert tiled is not None
    return bytes(model.SerializeToString()), bytes(tiled.SerializeToString())


def upsampling(inside: int, out: int, side: int) -> tuple[bytes, bytes]:
    """The layer in four phases, and in tiles."""
    model = layer_model("ConvTranspose", (inside, out, 4, 4), inside, side, strides=[2, 2])
    phases = rewrite(model, [stack_phases])
    tiled = rewrite(model, [winograd.filter_upsampling])
    assert phases is not None
    assert tiled is not None
    return bytes(phases.SerializeToString()), bytes(tiled.SerializeToString())


def layer_model(
    op_type: str, shape: tuple[int, ...], inside: int, side: int, **settings: Any
) -> onnx.ModelProto:
    rng = np.random.default_rng(0)
    weight = rng.standard_normal(shape).astype(np.float32)
    kernel = list(shape[2:])
    nodes = [
        helper.make_node(
            op_type, ["x", "w"], ["u"], kernel_shape=kernel, pads=[1, 1, 1, 1], **settings
        ),
        helper.make_node("Relu", ["u"], ["y"]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", inside, side, side])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", "c", "h", "w"])
    graph = helper.make_graph(nodes, "layer", [x], [y], [numpy_helper.from_array(weight, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    return model


def show(name: str, layer: tuple[int, int, int], direct: bytes, tiled: bytes) -> None:
    inside, out, side = layer
    images = np.random.default_rng(1).random((max(BATCHES), inside, side, side), np.float32)
    measured = [speedup(tiled, direct, images[:batch]) for batch in BATCHES]
    before, after = (reckoned(model, BLOCKED_LAYOUTS) for model in (direct, tiled))
    gains = [then / now for then, now in zip(before, after, strict=True)]
    cells = [name, f"{inside} → {out}", f"{side}×{side}"]
    for values in (measured, gains):
        cells.append("; ".join(f"{value:.2f}" for value in values))
    click.echo(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
