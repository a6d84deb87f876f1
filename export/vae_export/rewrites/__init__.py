"""Exact rewrites of decoders for onnxruntime's CPU provider: passes over ONNX graphs, applied until none fits."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import onnx

from vae_export.graphs import checked
from vae_export.rewrites.editor import Editor
from vae_export.rewrites.folding import fold_crop, fold_pad
from vae_export.rewrites.last import block_last_convolution, separate_last_convolution
from vae_export.rewrites.phases import split_phases

Pass = Callable[[Editor], bool]
PASSES: tuple[Pass, ...] = (fold_pad, fold_crop, separate_last_convolution, split_phases)
INT8_PASSES: tuple[Pass, ...] = (fold_pad, fold_crop, block_last_convolution, separate_last_convolution, split_phases)


def rewrite(model: onnx.ModelProto, passes: Sequence[Pass] = PASSES) -> onnx.ModelProto | None:
    """The same function with every pass applied wherever it fits; None where none did, or with branches or loops."""
    if any(attribute.HasField("g") for node in model.graph.node for attribute in node.attribute):
        return None
    editor = Editor(model)
    changed = False
    for rule in passes:
        while rule(editor):
            changed = True
    return checked(editor.finish()) if changed else None


def rewrite_for_cpu(content: bytes, passes: Sequence[Pass] = PASSES) -> bytes | None:
    """`rewrite` on serialised models."""
    model = rewrite(onnx.load_from_string(content), passes)
    return None if model is None else bytes(model.SerializeToString())
