"""Which rewrites a decoder gets: at each place the one that is reckoned to be the fastest.

No rewrite is the fastest everywhere. Four phases of a large transposed convolution gain a third,
those of a small one cost more nodes than they save; what is right for one layer may be wrong for
the next. So the places are gone through from the last to the first, and at each all ways are tried.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import onnx

from vae_export.costs import mean_gain
from vae_export.graphs import checked, require_readable
from vae_export.rewrites import SIMPLIFYING_PASSES, Pass, has_subgraphs
from vae_export.rewrites.cleaning import (
    cancel_transposes,
    drop_unused_nodes,
    merge_equal_nodes,
    merge_reshapes,
)
from vae_export.rewrites.editor import Editor
from vae_export.rewrites.last_convolution import separate_behind_silu, separate_last_convolution
from vae_export.rewrites.phases import gather_phases, split_phases, stack_phases
from vae_export.rewrites.products import multiply_pixels, transpose_few_outputs
from vae_export.rewrites.transposed import block_last_upsampling, flip_stride_one
from vae_export.rewrites.upsampling import transpose_upsampled_convolution
from vae_export.rewrites.winograd import filter_convolution, filter_upsampling
from vae_runtime.door import MAX_GRAPH_BYTES
from vae_runtime.errors import VAEError

Way = tuple[Pass, ...]
Ways = tuple[Way, ...]
# Where the ways begin.
STARTS = ("ConvTranspose", "Resize")
# The passes of each way are applied one after another, each once, to what the one before left.
WAYS: Ways = (
    (separate_last_convolution,),
    (separate_behind_silu,),
    (block_last_upsampling,),
    (stack_phases,),
    (gather_phases,),
    (split_phases,),
    (flip_stride_one,),
    (transpose_upsampled_convolution, separate_last_convolution),
    (transpose_upsampled_convolution, separate_behind_silu),
    (transpose_upsampled_convolution, block_last_upsampling),
    (transpose_upsampled_convolution, stack_phases),
    (transpose_upsampled_convolution, split_phases),
)
# Ways to fewer products, measured with blocked layouts alone.
FILTERING_WAYS: Ways = (
    (filter_upsampling,),
    (transpose_upsampled_convolution, filter_upsampling),
)
# Every convolution as a matrix product, one after another.
PRODUCT_PASSES: tuple[Pass, ...] = (
    *SIMPLIFYING_PASSES,
    transpose_upsampled_convolution,
    split_phases,
    transpose_few_outputs,
    multiply_pixels,
    merge_equal_nodes,
    cancel_transposes,
    # Of what cancelled, equal nodes are left.
    merge_equal_nodes,
    drop_unused_nodes,
    merge_reshapes,
    drop_unused_nodes,
)
# A way at one place is worth its nodes from here on.
MIN_STEP_GAIN = 1.01
# One that multiplies the weights' size has to gain more.
MIN_FILTERING_GAIN = 1.05

# A graph -> nanoseconds at each batch.
Reckon = Callable[[bytes], Sequence[float]]


def fastest_rewrite(model_bytes: bytes, reckon: Reckon, *, with_products: bool = False) -> bytes:
    """The same function rewritten wherever that is reckoned to be faster.

    A convolution of stride 1 that was a transposed one lets others be rewritten with it, so it is
    tried with all of these and with none. `with_products`, for plain layouts, tries all
    convolutions as matrix products as well, which pay only together: copies between them cancel.
    With blocked layouts Winograd's filtering is tried instead.
    """
    model = onnx.load_from_string(model_bytes)
    if has_subgraphs(model):
        return model_bytes
    best = model_bytes
    ways = WAYS if with_products else WAYS + FILTERING_WAYS
    kept = tuple(step for step in SIMPLIFYING_PASSES if step is not flip_stride_one)
    for passes in (SIMPLIFYING_PASSES, kept):
        found = _rewritten_place_by_place(_simplified(model, passes), reckon, ways)
        if not with_products:
            found = _filtered(found, reckon)
        if mean_gain(reckon(found), reckon(best)) >= MIN_STEP_GAIN:
            best = found
    if with_products:
        found = _simplified(model, PRODUCT_PASSES)
        if mean_gain(reckon(found), reckon(best)) >= MIN_STEP_GAIN:
            best = found
    checked(onnx.load_from_string(best))
    return best


def _simplified(model: onnx.ModelProto, passes: Sequence[Pass]) -> bytes:
    editor = Editor(model)
    for apply_once in passes:
        while apply_once(editor):
            pass
    return _bytes(editor)


def _filtered(model_bytes: bytes, reckon: Reckon) -> bytes:
    """Convolutions in tiles wherever that is reckoned to be faster, if all together gain enough."""
    best = model_bytes
    before = time = reckon(best)
    hidden: set[str] = set()
    while True:
        editor = Editor(onnx.load_from_string(best))
        editor.hidden |= hidden
        rest = {node.output[0] for node in editor.of_type("Conv")}
        if not filter_convolution(editor):
            break
        # One that isn't worth it is left alone from here on.
        hidden |= rest - {node.output[0] for node in editor.of_type("Conv")}
        candidate = _bytes(editor)
        candidate_time = reckon(candidate)
        # A share of the whole that may be small: a large decoder has many such layers.
        if mean_gain(candidate_time, time) > 1 and _is_readable(candidate):
            best = candidate
            time = candidate_time
    return best if mean_gain(time, before) >= MIN_FILTERING_GAIN else model_bytes


def _rewritten_place_by_place(model_bytes: bytes, reckon: Reckon, ways: Ways) -> bytes:
    best = model_bytes
    time = reckon(best)
    for place in reversed(_places(best)):
        before = onnx.load_from_string(best)
        for way in ways:
            candidate = _rewritten_at(place, before, way)
            if candidate is None:
                continue
            candidate_time = reckon(candidate)
            if mean_gain(candidate_time, time) < _min_gain(way):
                continue
            # Tiles take memory and weights, and the runtime reads no graph of too much of either.
            if way not in FILTERING_WAYS or _is_readable(candidate):
                best = candidate
                time = candidate_time
    return best


def _is_readable(model_bytes: bytes) -> bool:
    if len(model_bytes) > MAX_GRAPH_BYTES:
        return False
    try:
        require_readable("decoder", model_bytes)
    except VAEError:
        return False
    return True


def _places(model_bytes: bytes) -> list[str]:
    """The outputs of the nodes at which ways may begin, in the order of the graph."""
    editor = Editor(onnx.load_from_string(model_bytes))
    return [node.output[0] for node in editor.nodes if node.op_type in STARTS]


def _rewritten_at(place: str, model: onnx.ModelProto, way: Way) -> bytes | None:
    """The graph rewritten at this place, None where the way doesn't fit there."""
    editor = Editor(model)
    for node in editor.nodes:
        if node.op_type in STARTS and node.output[0] != place:
            editor.hidden.add(node.output[0])
    return _bytes(editor) if all(apply_once(editor) for apply_once in way) else None


def _min_gain(way: Way) -> float:
    return MIN_FILTERING_GAIN if way in FILTERING_WAYS else MIN_STEP_GAIN


def _bytes(editor: Editor) -> bytes:
    return bytes(editor.finish().SerializeToString())
