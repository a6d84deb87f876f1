"""The decoder rewritten for onnxruntime's CPU provider, a variant for each kind of layouts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from vae_export.bundle_files import write_graph
from vae_export.costs import is_faster, reckoned
from vae_export.rewrites.choice import fastest_rewrite
from vae_runtime.bundle import Variant
from vae_runtime.engine.conditions import BLOCKED_LAYOUTS, PLAIN_LAYOUTS, Condition
from vae_runtime.engine.providers import CPU

LAYOUTS: tuple[Condition, ...] = (BLOCKED_LAYOUTS, PLAIN_LAYOUTS)

# A graph -> its parity report; raises VAEError where it differs from torch.
Prove = Callable[[bytes], Mapping[str, object]]


def write_cpu_decoders(folder: Path, portable: Variant, prove: Prove) -> list[Variant]:
    """Write decoder.cpu.onnx, rewritten for onnxruntime's CPU provider, where that is faster.

    Which rewrites are depends on the layouts that onnxruntime has: one graph serves both where it
    is the fastest with both, else each variant names its condition. On every machine both are
    written.
    """
    baseline = (folder / portable.decoder.file).read_bytes()
    chosen: dict[bytes, list[Condition]] = {}
    for layouts in LAYOUTS:
        rewritten = fastest_rewrite(
            baseline,
            partial(reckoned, layouts=layouts),
            with_products=layouts == PLAIN_LAYOUTS,
        )
        if is_faster(rewritten, baseline, layouts):
            chosen.setdefault(rewritten, []).append(layouts)
    variants: list[Variant] = []
    for model_bytes, conditions in chosen.items():
        name = "cpu" if not variants else "cpu-plain"
        variant = Variant(
            name=name,
            precision="fp32",
            providers=(CPU,),
            encoder=portable.encoder,
            decoder=write_graph(folder, f"decoder.{name}.onnx", model_bytes),
            parity={"encoder": portable.parity["encoder"], "decoder": prove(model_bytes)},
            requires=() if len(conditions) == len(LAYOUTS) else tuple(conditions),
        )
        variants.append(variant)
    return variants
