"""What torch's exporter leaves around a GroupNorm: two passes of its affine part, and shapes.

It writes GroupNorm as Reshape to (N, groups, …), InstanceNormalization, Reshape to the shape that x
had, a product with γ and a sum with β per channel.
"""

from __future__ import annotations

import numpy as np
import onnx

from vae_export.rewrites.editor import Editor, attributes
from vae_runtime.arrays import Float32

# Axis of (N, C, H, W).
CHANNELS = 1


def scale_and_shift_at_once(editor: Editor) -> bool:
    """γ · x + β per channel = BatchNormalization(x) of mean 0 and variance 1: once over x."""
    for product in editor.of_type("Mul"):
        sum_ = editor.sole_consumer(product.output[0])
        shape = editor.shapes.get(product.output[0], [])
        if sum_ is None or sum_.op_type != "Add" or len(shape) != 4:
            continue
        scaled = _split(editor, product, shape[CHANNELS])
        shifted = _split(editor, sum_, shape[CHANNELS])
        if scaled is None or shifted is None:
            continue
        source, scale = scaled
        _, shift = shifted
        if editor.shapes.get(source, []) != shape:
            continue
        arrays = (scale, shift, np.zeros_like(scale), np.ones_like(scale))
        constants = [editor.add_constant(array) for array in arrays]
        editor.remove(product, sum_)
        editor.add("BatchNormalization", [source, *constants], sum_.output[0], epsilon=0.0)
        return True
    return False


def reshape_to_known_shapes(editor: Editor) -> bool:
    """Reshape(x, Shape(y)) = Reshape(x, (-1, C, H, W)) where only y's batch isn't known."""
    for node in editor.of_type("Shape"):
        shape = editor.shapes.get(node.input[0], [])
        reshape = editor.sole_consumer(node.output[0])
        if reshape is None or reshape.op_type != "Reshape":
            continue
        # Of some dimensions alone.
        if any(attributes(node).values()):
            continue
        if reshape.input[1] != node.output[0] or len(shape) < 2 or not all(shape[1:]):
            continue
        reshape.input[1] = editor.add_constant(np.array([-1, *shape[1:]]))
        editor.remove(node)
        return True
    return False


def _split(editor: Editor, node: onnx.NodeProto, channels: int) -> tuple[str, Float32] | None:
    """What a node computes on, and its constant (channels,) of one number per channel."""
    for constant_at in (0, 1):
        constant = editor.constant(node.input[constant_at])
        if constant is None or constant.dtype != np.float32:
            continue
        # As broadcasting reads them against (N, C, H, W).
        if constant.shape[-3:] == (channels, 1, 1) and constant.size == channels:
            values: Float32 = constant.reshape(channels)
            return node.input[1 - constant_at], values
    return None
