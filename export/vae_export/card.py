"""A bundle's README.md, with the front matter that the Hugging Face Hub reads.

Specification: https://huggingface.co/docs/hub/model-cards. Everything in it is known from
bundle.json; what only people know is left for them to fill in.
"""

from __future__ import annotations

from vae_runtime.bundle import Bundle, Variant

CARD_FILE = "README.md"


def card_text(bundle: Bundle) -> str:
    """The card of a bundle, as Markdown."""
    channels, height, width = bundle.image_shape
    facts = {
        "images": f"{height}×{width}, {channels} channel{'s' if channels > 1 else ''}",
        "latent dimensions": str(bundle.latent_dim),
        "likelihood": bundle.likelihood.name,
        "preprocessing": bundle.preprocess.fit,
        "labels": ", ".join(bundle.labels) or "none",
    }
    facts |= {f"training: {name}": _shown(value) for name, value in bundle.training.items()}
    facts |= {f"made by {name}": version for name, version in bundle.producer.items()}
    rows = [f"| {name} | {value} |" for name, value in facts.items()]
    variants = [_variant_row(variant) for variant in bundle.variants]
    return "\n".join(
        [
            "---",
            "library_name: vae-edge",
            "pipeline_tag: unconditional-image-generation",
            "tags:",
            "- vae",
            "- onnx",
            "---",
            "",
            "# A variational autoencoder",
            "",
            "| | |",
            "|---|---|",
            *rows,
            "",
            "| variant | precision | providers | MB | ELBO change, nats |",
            "|---|---|---|---|---|",
            *variants,
            "",
            "```python",
            "import vae_runtime",
            "",
            'vae = vae_runtime.load("PATH OF THIS FOLDER OR FILE")',
            'vae.save(vae.sample(16, seed=0), "samples.png")',
            "```",
            "",
        ]
    )


def _variant_row(variant: Variant) -> str:
    change = "" if variant.elbo_change is None else f"{variant.elbo_change:+.3f}"
    providers = ", ".join(variant.providers)
    size = f"{variant.bytes / 1e6:.2f}"
    return f"| {variant.name} | {variant.precision} | {providers} | {size} | {change} |"


def _shown(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)
