"""Which precision `auto` means on this CPU: a rule short enough to print, never a stopwatch."""

from __future__ import annotations

from typing import Literal, get_args

from vae_runtime.bundle import Bundle, GraphPrecision, Variant
from vae_runtime.engine.conditions import conditions_here
from vae_runtime.engine.cpu import instruction_sets
from vae_runtime.engine.providers import CPU
from vae_runtime.errors import BundleError

Precision = Literal["fp32", "int8", "auto"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

# Linux's names for integer dot products: x86 with AVX-512 or AVX, ARM.
INT8_INSTRUCTION_SETS = {"avx512_vnni", "avx_vnni", "avx512vnni", "asimddp", "i8mm"}


def choose_precision(
    requested: Precision, bundle: Bundle, provider: str
) -> tuple[GraphPrecision, str]:
    """The precision to use and why.

    Raises ValueError for one that the bundle doesn't have; BundleError where that is fp32, which
    nobody needs to ask for.
    """
    if requested != "auto":
        if requested not in bundle.precisions:
            present = ", ".join(bundle.precisions)
            kind = BundleError if requested == "fp32" else ValueError
            raise kind(f"precision {requested!r} is not in this bundle; it has {present}")
        return requested, "asked for"
    int8 = _int8_for(bundle, provider)
    if int8 is None:
        return "fp32", f"the bundle has no int8 graphs for {provider}"
    if not instruction_sets() & INT8_INSTRUCTION_SETS:
        return "fp32", "this CPU has no integer dot-product instructions"
    change = int8.elbo_change
    if change is None or change < -int8.elbo_budget:
        return "fp32", f"int8 changes the ELBO by {change} nats, the budget is {int8.elbo_budget:g}"
    return (
        "int8",
        f"this CPU has integer dot products, and int8 changes the ELBO by {change:+.2f} nats",
    )


def _int8_for(bundle: Bundle, provider: str) -> Variant | None:
    """The int8 variant made for this provider on this machine, if there is one."""
    if provider != CPU:
        return None
    for variant in bundle.variants:
        if variant.precision == "int8" and variant.runs_on(provider, conditions_here()):
            return variant
    return None
