"""`vae-run info`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from vae_runtime.bundle import Preprocess, read_graph
from vae_runtime.bundle.records import MAX_SIZED_PIXELS
from vae_runtime.cli.options import ModelOptions, json_option, model_options
from vae_runtime.latent.novelty import yardstick

if TYPE_CHECKING:
    from vae_runtime.vae import VAE


@click.command("info")
@json_option
@model_options
def command(as_json: bool, model: ModelOptions) -> None:
    """Describe a bundle and verify its files.

    Says what it holds, and which provider and precision would run it.

    Example: vae-run info -m digits.vae --json
    """
    vae = model.load()
    for variant in vae.bundle.variants:
        read_graph(vae.storage, variant.encoder)
        read_graph(vae.storage, variant.decoder)
    vae.verify()
    if as_json:
        click.echo(json.dumps(_values(vae), indent=1))
        return
    for name, value in _lines(vae):
        click.echo(f"{name:<11} {value}")


def _values(vae: VAE) -> dict[str, Any]:
    """What --json prints."""
    preprocess = vae.bundle.preprocess
    return {
        **vae.info,
        "preprocess": {"fit": preprocess.fit, "invert": preprocess.invert},
        "score_quantiles": dict(vae.variant.score_quantiles),
        "relative_quantiles": dict(vae.variant.relative_quantiles),
        "variants": _variants(vae),
        "verified": True,
    }


def _variants(vae: VAE) -> list[dict[str, Any]]:
    values = []
    for variant in vae.bundle.variants:
        values.append(
            {
                "name": variant.name,
                "precision": variant.precision,
                "providers": variant.providers,
                "elbo_change": variant.elbo_change,
                "bytes": variant.bytes,
                "batch": variant.batch,
            }
        )
    return values


def _lines(vae: VAE) -> list[tuple[str, str]]:
    """What is printed: names and values."""
    channels, height, width = vae.image_shape
    plural = "s" if channels > 1 else ""
    likelihood = vae.bundle.likelihood.name
    lines = [
        ("bundle", str(vae.path)),
        ("images", f"{height}×{width}, {channels} channel{plural}, {likelihood}"),
        ("latents", "×".join(map(str, vae.latent_shape))),
        ("fit", _fit(vae.bundle.preprocess)),
        ("labels", ", ".join(vae.labels) or "none"),
        ("provider", f"{vae.provider}, {vae.threads} threads"),
        ("precision", f"{vae.precision}: {vae.precision_reason}"),
    ]
    if vae.bundle.dynamic_size:
        down, across = vae.bundle.stride
        sizes = f"multiples of {down}×{across}, at most {MAX_SIZED_PIXELS} pixels"
        lines.insert(2, ("sizes", f"{sizes} (--size)"))
    for variant in vae.bundle.variants:
        lines.append(("variant", f"{variant.name}: {variant.summary()}"))
    known = yardstick(vae.variant)
    kind = " (relative scores)" if known.is_relative else ""
    quantiles = [f"q{name} {value:.1f}" for name, value in known.quantiles.items()]
    lines.append(("thresholds", ", ".join(quantiles) + kind if quantiles else "none"))
    lines.append(("training", _joined(vae.bundle.training)))
    lines.append(("producer", _joined(vae.bundle.producer)))
    lines.append(("verified", "every file"))
    return lines


def _fit(preprocess: Preprocess) -> str:
    return f"{preprocess.fit}, inverted" if preprocess.invert else preprocess.fit


def _joined(values: Mapping[str, Any]) -> str:
    parts = []
    for name, value in values.items():
        shown = f"{value:.2f}" if isinstance(value, float) else value
        parts.append(f"{name} {shown}")
    return ", ".join(parts)
