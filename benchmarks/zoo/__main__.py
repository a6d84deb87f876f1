"""python -m benchmarks.zoo: what other people's decoders gain, as a Markdown table.

Each model, with random weights, is exported as it is; its graphs are compared with what
`torch.onnx.export` writes, on one thread: CPU time in alternating runs, the lower quartile of each.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import click
import numpy as np
import onnx
import torch

from benchmarks.plain import plain_graph
from benchmarks.speed import speedup
from benchmarks.zoo.models import ZooModel, zoo
from vae_export import export_bundle
from vae_export.adapters import Hints, ImageRange, adapt
from vae_export.rewrites.editor import attributes
from vae_runtime import VAE
from vae_runtime.arrays import Float32
from vae_runtime.bench import machine

BATCHES = (1, 32)
# Images that int8 is calibrated on: noise does for speed, and any loss is allowed.
CALIBRATION_IMAGES = 64
ANY_LOSS = 1e9


@click.command()
@click.option("--only", default="", help="Models whose names contain this.")
@click.option("--int8/--no-int8", default=True, help="With int8 graphs.")
def main(only: str, int8: bool) -> None:
    """Export and measure each model of the zoo that can be made here."""
    here = machine()
    click.echo(f"{here['cpu']}, torch {torch.__version__}\n")
    click.echo("| decoder | variant | fp32, batch 1; 32 | int8, batch 1; 32 |")
    click.echo("|---|---|---|---|")
    gains = []
    for name, model in zoo().items():
        if only not in name:
            continue
        variant, fp32, quantized = measure(model, int8=int8)
        gains += fp32
        in_int8 = shown(quantized) if int8 else "–"
        click.echo(f"| {name} | {variant} | {shown(fp32)} | {in_int8} |")
    mean = float(np.exp(np.mean(np.log(gains))))
    click.echo(f"\nGeometric mean in fp32: {mean:.2f}; the least: {min(gains):.2f}")


def measure(model: ZooModel, *, int8: bool) -> tuple[str, list[float], list[float]]:
    """The fp32 variant that is taken here, and the gains of fp32 and int8 decoders by batch.

    No gains where no int8 decoder is written.
    """
    torch.manual_seed(0)
    vae = model.make().eval()
    hints = Hints(ImageRange(*model.image_range, clamped=True) if model.image_range else None)
    adapted = adapt(vae, image_shape=model.image_shape, hints=hints)
    plain = plain_graph(adapted.decoder, torch.zeros(2, adapted.latent_dim))
    rng = np.random.default_rng(0)
    z = rng.standard_normal((max(BATCHES), adapted.latent_dim)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "zoo.vae"
        export_bundle(
            vae,
            image_shape=model.image_shape,
            image_range=model.image_range,
            images=rng.random((CALIBRATION_IMAGES, *model.image_shape), np.float32),
            precisions=["fp32", "int8"] if int8 else ["fp32"],
            int8_budget=ANY_LOSS,
            output=path,
            on_finding=lambda line: None,
        )
        with VAE(path, "cpu") as loaded:
            taken = loaded.variant
            variants = loaded.bundle.variants
        fp32 = gains((path / taken.decoder.file).read_bytes(), plain, z)
        quantized = []
        for variant in variants:
            if variant.name == "int8" and "int8" in variant.decoder.file:
                quantized = gains((path / variant.decoder.file).read_bytes(), plain, z)
    return taken.name, fp32, quantized


def gains(decoder: bytes, plain: bytes, z: Float32) -> list[float]:
    """By batch; 1 for a graph that does the same, which needs no clock."""
    if operations(decoder) == operations(plain):
        return [1.0 for _ in BATCHES]
    return [speedup(decoder, plain, z[:batch]) for batch in BATCHES]


def operations(model_bytes: bytes) -> list[tuple[str, Any]]:
    """Each node's operator and attributes."""
    return [
        (node.op_type, attributes(node)) for node in onnx.load_from_string(model_bytes).graph.node
    ]


def shown(values: list[float]) -> str:
    return "; ".join(f"{value:.2f}" for value in values) or "not written"


if __name__ == "__main__":
    main()
