"""What rewrites leave behind: copies that cancel, nodes that compute the same, nodes of no use."""

from __future__ import annotations

import numpy as np
import onnx

from vae_export.rewrites.convolutions import TO_CHANNELS_FIRST, TO_CHANNELS_LAST
from vae_export.rewrites.editor import Editor, attributes
from vae_export.rewrites.operators import ACTIVATIONS


def cancel_transposes(editor: Editor) -> bool:
    """Transpose to channels first, an activation perhaps, and Transpose back = the activation."""
    for node in editor.of_type("Transpose"):
        if list(attributes(node)["perm"]) != TO_CHANNELS_LAST:
            continue
        before = _maker(editor, node.input[0])
        activation = None
        if before is not None and before.op_type in ACTIVATIONS:
            activation = before
            before = _maker(editor, before.input[0])
        if before is None or before.op_type != "Transpose":
            continue
        if list(attributes(before)["perm"]) != TO_CHANNELS_FIRST:
            continue
        source = before.input[0]
        if activation is not None:
            source = editor.add_like(activation, source)
        editor.remove(node)
        editor.replace_input(node.output[0], source)
        return True
    return False


def merge_equal_nodes(editor: Editor) -> bool:
    """Two nodes that compute the same from the same = one."""
    seen: dict[tuple[object, ...], onnx.NodeProto] = {}
    for node in editor.nodes:
        if len(node.output) != 1 or node.output[0] in editor.outputs:
            continue
        first = seen.setdefault(_meaning(editor, node), node)
        if first is not node:
            editor.remove(node)
            editor.replace_input(node.output[0], first.output[0])
            return True
    return False


def drop_unused_nodes(editor: Editor) -> bool:
    """A node whose results nobody takes = nothing."""
    taken = set(editor.outputs)
    for node in editor.nodes:
        taken.update(node.input)
    for node in editor.nodes:
        if taken.isdisjoint(node.output):
            editor.remove(node)
            return True
    return False


def merge_reshapes(editor: Editor) -> bool:
    """Reshape of a Reshape = the second one."""
    for node in editor.of_type("Reshape"):
        before = _maker(editor, node.input[0])
        shape = editor.constant(node.input[1])
        if before is None or before.op_type != "Reshape" or shape is None:
            continue
        # 0 takes a size from the input, which is about to be another one.
        if not shape[1:].all() or (shape == -1).any():
            continue
        plain_shape = editor.add_constant(np.where(shape == 0, -1, shape))
        editor.remove(node)
        editor.add("Reshape", [before.input[0], plain_shape], node.output[0])
        return True
    return False


def _maker(editor: Editor, name: str) -> onnx.NodeProto | None:
    makers: list[onnx.NodeProto] = [node for node in editor.nodes if name in node.output]
    return makers[0] if makers else None


def _meaning(editor: Editor, node: onnx.NodeProto) -> tuple[object, ...]:
    """What decides a node's result: its operator, its attributes, and what it takes."""
    taken: list[object] = []
    for name in node.input:
        array = editor.constant(name)
        if array is None:
            taken.append(name)
        else:
            taken.append((array.dtype.str, array.shape, array.tobytes()))
    settings = sorted(attribute.SerializeToString() for attribute in node.attribute)
    return (node.domain, node.op_type, tuple(taken), tuple(settings))
