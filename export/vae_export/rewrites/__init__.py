"""Exact rewrites of decoders for onnxruntime's CPU provider: passes over ONNX graphs.

The protocol of a pass, a function from `Editor` to bool:

- It looks for one place where it fits, rewrites that place, and returns True; False where there is
  none. It is called again until it returns False.
- It makes progress: what it has rewritten fits no more. A pass that returns True without that
  loops forever.
- It proves what it needs from constants and attributes, and leaves alone whatever it cannot prove.
- Its docstring says which equation holds. The tests compare both sides on random layers.
- `Editor.shapes` is computed once, before the first pass: it knows nothing of values that passes
  add, and of a value that a pass makes in another way it still has the shape.
- The order of the passes matters; the reasons stand beside the entries.
- New operators belong into the sets of `operators`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import onnx

from vae_export.graphs import checked
from vae_export.rewrites.editor import Editor
from vae_export.rewrites.folding import fold_crop, fold_pad
from vae_export.rewrites.last_convolution import block_last_convolution, separate_last_convolution
from vae_export.rewrites.normalization import reshape_to_known_shapes, scale_and_shift_at_once
from vae_export.rewrites.phases import pair_phases, split_phases
from vae_export.rewrites.strided import stride_last_convolution
from vae_export.rewrites.transposed import block_last_upsampling, flip_stride_one
from vae_export.rewrites.upsampling import (
    convolve_before_upsampling,
    drop_resize_by_one,
    transpose_upsampled_convolution,
)

Pass = Callable[[Editor], bool]

# Fewer operations and no others: the way for the passes that follow them.
SIMPLIFYING_PASSES: tuple[Pass, ...] = (
    drop_resize_by_one,
    scale_and_shift_at_once,
    reshape_to_known_shapes,
    convolve_before_upsampling,
    # The other passes look for a convolution right behind another, with its pads in its attributes.
    fold_pad,
    fold_crop,
    # A last transposed convolution of stride 1 becomes a last convolution.
    flip_stride_one,
)
PASSES: tuple[Pass, ...] = (
    *SIMPLIFYING_PASSES,
    # Makes transposed convolutions for the passes that take them apart.
    transpose_upsampled_convolution,
    # Before split_phases, which consumes the transposed convolutions that these begin at.
    separate_last_convolution,
    block_last_upsampling,
    # Every other transposed convolution.
    split_phases,
)
INT8_PASSES: tuple[Pass, ...] = (
    *SIMPLIFYING_PASSES,
    transpose_upsampled_convolution,
    # In int8 calling a small convolution costs more than computing it: one large one is faster.
    block_last_convolution,
    # Where the phases have odd sides, which the pass above leaves alone.
    separate_last_convolution,
    # Where it has no phases before it.
    stride_last_convolution,
    block_last_upsampling,
    split_phases,
)
# For int8 on ARM.
INT8_ARM_PASSES: tuple[Pass, ...] = (
    *SIMPLIFYING_PASSES,
    transpose_upsampled_convolution,
    stride_last_convolution,
    block_last_upsampling,
    # Each takes what the one before leaves.
    pair_phases,
    split_phases,
)


def rewrite(model: onnx.ModelProto, passes: Sequence[Pass] = PASSES) -> onnx.ModelProto | None:
    """The same function with every pass applied wherever it fits.

    None where none did, and for graphs with branches or loops.
    """
    if has_subgraphs(model):
        return None
    editor = Editor(model)
    changed = False
    for apply_once in passes:
        while apply_once(editor):
            changed = True
    if not changed:
        return None
    return checked(editor.finish())


def rewrite_for_cpu(model_bytes: bytes, passes: Sequence[Pass] = PASSES) -> bytes | None:
    """`rewrite` on serialized models."""
    model = rewrite(onnx.load_from_string(model_bytes), passes)
    if model is None:
        return None
    return bytes(model.SerializeToString())


def has_subgraphs(model: onnx.ModelProto) -> bool:
    for node in model.graph.node:
        if any(attribute.HasField("g") for attribute in node.attribute):
            return True
    return False
