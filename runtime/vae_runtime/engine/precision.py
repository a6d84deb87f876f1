"""Which precision `auto` means on this CPU: a rule short enough to print, never a stopwatch."""

from __future__ import annotations

from typing import Literal, get_args

from vae_runtime.bundle import Bundle, GraphPrecision, Variant
from vae_runtime.engine.conditions import INTEGER_DOT_PRODUCTS, conditions_here, int8_condition
from vae_runtime.engine.cpu import instruction_sets
from vae_runtime.engine.providers import CPU
from vae_runtime.errors import BundleError

Precision = Literal["fp32", "int8", "auto"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


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
    condition = int8_condition(instruction_sets())
    has_products = condition == INTEGER_DOT_PRODUCTS
    products = "integer dot products" if has_products else "AVX2 without integer dot products"
    # Bundles without gains are of a version that reckoned with dot products.
    gains = int8.gains or {INTEGER_DOT_PRODUCTS: 0.0}
    if condition is None:
        return "fp32", "this CPU has no integer dot-product instructions and no AVX2"
    if condition not in gains:
        return "fp32", f"int8 isn't known to be faster on this CPU, which has {products}"
    change = int8.elbo_change
    if change is None or change < -int8.elbo_budget:
        return "fp32", f"int8 changes the ELBO by {change} nats, the budget is {int8.elbo_budget:g}"
    faster = f"is reckoned {gains[condition]:.1f} times as fast and " if gains[condition] else ""
    return (
        "int8",
        f"this CPU has {products}, and int8 {faster}changes the ELBO by {change:+.2f} nats",
    )


def _int8_for(bundle: Bundle, provider: str) -> Variant | None:
    """The int8 variant made for this provider on this machine, if there is one."""
    if provider != CPU:
        return None
    for variant in bundle.variants:
        if variant.precision == "int8" and variant.runs_on(provider, conditions_here()):
            return variant
    return None
