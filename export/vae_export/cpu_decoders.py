"""The decoder rewritten for onnxruntime's CPU provider, a variant for each kind of layouts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from vae_export.bundle_files import write_graph
from vae_export.rewrites import candidates_for_cpu
from vae_export.speed import fastest, levels_here
from vae_runtime.arrays import Float32
from vae_runtime.bundle import Variant
from vae_runtime.engine.conditions import BLOCKED_LAYOUTS, PLAIN_LAYOUTS
from vae_runtime.engine.providers import CPU

# Latents that the speed of two decoders is compared on.
SPEED_BATCH = 16
CONDITIONS = {BLOCKED_LAYOUTS, PLAIN_LAYOUTS}

# A graph -> its parity report; raises VAEError where it differs from torch.
Prove = Callable[[bytes], Mapping[str, object]]


def write_cpu_decoders(folder: Path, portable: Variant, z: Float32, prove: Prove) -> list[Variant]:
    """Write decoder.cpu.onnx, rewritten for onnxruntime's CPU provider, where that is faster.

    Which rewrites are depends on the layouts that onnxruntime has: one graph serves both where it
    is the fastest with both, else each variant names its condition. `z` (N, D) is what is decoded.
    """
    baseline = (folder / portable.decoder.file).read_bytes()
    candidates = candidates_for_cpu(baseline)
    chosen: dict[bytes, list[str]] = {}
    for condition, level in levels_here().items():
        best = fastest(candidates, baseline, z[:SPEED_BATCH], level)
        if best is not None:
            chosen.setdefault(best, []).append(condition)
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
            requires=() if set(conditions) == CONDITIONS else tuple(conditions),
        )
        variants.append(variant)
    return variants
