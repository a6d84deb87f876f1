"""Which precision `auto` means on this CPU: a rule short enough to print, never a stopwatch."""

from __future__ import annotations

from pathlib import Path

from vae_runtime.bundle import Bundle
from vae_runtime.providers import CPU

INT8_FLAGS = {"avx512_vnni", "avx_vnni", "avx512vnni", "asimddp", "i8mm"}
ELBO_BUDGET = 0.3  # nats per image


def choose_precision(requested: str, bundle: Bundle, provider: str) -> tuple[str, str]:
    """The precision to use and why. Raises ValueError for one that the bundle doesn't have."""
    if requested != "auto":
        if requested not in bundle.precisions:
            raise ValueError(f"precision {requested!r} is not in this bundle; it has {', '.join(bundle.precisions)}")
        return requested, "asked for"
    int8 = next((v for v in bundle.variants if v.precision == "int8" and provider in v.providers), None)
    if int8 is None or provider != CPU:
        return "fp32", f"the bundle has no int8 graphs for {provider}"
    if not cpu_flags() & INT8_FLAGS:
        return "fp32", "this CPU has no integer dot-product instructions"
    if int8.elbo_change is None or int8.elbo_change < -ELBO_BUDGET:
        return "fp32", f"int8 changes the ELBO by {int8.elbo_change} nats, the budget is {ELBO_BUDGET}"
    return "int8", f"this CPU has integer dot products, and int8 changes the ELBO by {int8.elbo_change:+.2f} nats"


def cpu_flags() -> set[str]:
    """The instruction sets that Linux lists; empty elsewhere, but for Apple's ARM, where all have dot products."""
    import platform

    if platform.system() == "Darwin" and platform.machine() == "arm64":
        return {"asimddp"}
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return set()
    lines = [line for line in text.splitlines() if line.startswith(("flags", "Features"))]
    return set(lines[0].partition(":")[2].split()) if lines else set()
