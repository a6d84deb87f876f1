"""The int8 variant of a bundle, tried until it keeps its budget on held-out images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from vae_export.int8 import Int8UnavailableError
from vae_export.int8.judge import elbo_budget
from vae_export.int8.target import ANY_CPU, Target
from vae_export.int8.variant import Attempt, write_int8_variant
from vae_runtime.arrays import Float32
from vae_runtime.bundle import Bundle
from vae_runtime.engine.providers import CPU

# Of the budget, what the search spends; the rest is for the error of its estimate.
SEARCH_SHARE = 0.8
MAX_ATTEMPTS = 3
# The next attempt's budget is at most this share of the one before.
MAX_SHRINKING = 0.6
# Images that tell how large the reconstruction loss is.
BUDGET_IMAGES = 256


def add_int8(
    bundle: Bundle,
    folder: Path,
    images: Float32,
    budget: float | None,
    measure: Callable[[Bundle], Bundle],
    target: Target = ANY_CPU,
) -> Bundle:
    """The bundle in `folder` with an int8 variant for `target`, of at most `budget` nats of ELBO.

    Calibrated on images (N, C, H, W); `measure` adds what each variant loses on held-out ones, and
    where that is more than the images that judged it said, more layers go back to fp32, judged by
    fresh images. Raises Int8UnavailableError where no attempt keeps the budget.
    """
    portable = bundle.variants[0]
    fastest = bundle.variant("fp32", CPU, frozenset({target.layouts}))
    if budget is None:
        encoder = (folder / portable.encoder.file).read_bytes()
        decoder = (folder / portable.decoder.file).read_bytes()
        budget = elbo_budget(encoder, decoder, images[:BUDGET_IMAGES], bundle.likelihood)
    attempt = Attempt(SEARCH_SHARE * budget)
    lost = 0.0
    for _ in range(MAX_ATTEMPTS):
        int8 = write_int8_variant(
            portable, fastest, folder, images, bundle.likelihood, attempt, target
        )
        int8 = replace(int8, elbo_budget=budget)
        measured = measure(replace(bundle, variants=(*bundle.variants, int8)))
        lost = -(measured.variants[-1].elbo_change or 0.0)
        if lost <= budget:
            return _before_other_int8(measured)
        attempt = _more_careful(attempt, budget / lost)
    raise Int8UnavailableError(
        f"int8 loses {lost:.2f} nats of ELBO on held-out images, more than the {budget:.2g} "
        "allowed (--int8-budget allows more)"
    )


def _before_other_int8(bundle: Bundle) -> Bundle:
    """The bundle with its last variant before those of int8: readers take the first that fits."""
    *others, last = bundle.variants
    fp32 = [variant for variant in others if variant.precision == "fp32"]
    int8 = [variant for variant in others if variant.precision != "fp32"]
    return replace(bundle, variants=(*fp32, last, *int8))


def _more_careful(attempt: Attempt, kept: float) -> Attempt:
    """The next attempt, behind one of which the budget would have allowed only the share `kept`."""
    budget = attempt.budget * min(MAX_SHRINKING, kept)
    return Attempt(budget, exchanged=not attempt.exchanged)
