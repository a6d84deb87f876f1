"""python -m benchmarks.zoo.int8: what int8 gains over the fastest fp32 graph on this CPU.

All layers that can be are quantized, whatever that costs: it is the time that is asked for. CPU
time of one thread in alternating runs, the lower quartile of each, beside what is reckoned.
"""

from __future__ import annotations

from functools import partial

import click
import numpy as np
import onnx
import torch

from benchmarks.speed import speedup
from benchmarks.zoo.models import ZooModel, zoo
from vae_export.adapters import Hints, ImageRange, adapt
from vae_export.costs import reckoned
from vae_export.graphs import export_graph
from vae_export.int8.qdq import CalibratedModel
from vae_export.int8.search import layers_worth_quantizing
from vae_export.rewrites import INT8_PASSES, rewrite_for_cpu
from vae_export.rewrites.choice import fastest_rewrite
from vae_runtime.arrays import Float32
from vae_runtime.bench import machine
from vae_runtime.engine.conditions import BLOCKED_LAYOUTS, Condition, int8_condition
from vae_runtime.engine.cpu import instruction_sets

BATCHES = (1, 32)
CALIBRATION_COUNT = 4
ALL_VALUES = 100.0


@click.command()
@click.option("--only", default="", help="Models whose names contain this.")
def main(only: str) -> None:
    """Measure both parts of each model of the zoo that can be made here."""
    condition = int8_condition(instruction_sets()) or BLOCKED_LAYOUTS
    click.echo(f"{machine()['cpu']}, torch {torch.__version__}, {condition}\n")
    click.echo("| model | decoder, batch 1; 32 | reckoned | encoder, batch 1; 32 | reckoned |")
    click.echo("|---|---|---|---|---|")
    for name, model in zoo().items():
        if only not in name:
            continue
        cells = [name]
        for fp32, int8, inputs in parts(model):
            if int8 is None:
                cells += ["no layer", ""]
                continue
            cells.append(shown([speedup(int8, fp32, inputs[:batch]) for batch in BATCHES]))
            cells.append(shown(reckoned_gains(int8, fp32, condition)))
        click.echo(f"| {' | '.join(cells)} |")


def parts(model: ZooModel) -> list[tuple[bytes, bytes | None, Float32]]:
    """Of the decoder and the encoder: the fastest fp32 graph, the int8 graph, inputs (32, …)."""
    torch.manual_seed(0)
    hints = Hints(ImageRange(*model.image_range, clamped=True) if model.image_range else None)
    adapted = adapt(model.make().eval(), image_shape=model.image_shape, hints=hints)
    rng = np.random.default_rng(0)
    z = rng.standard_normal((max(BATCHES), adapted.latent_dim)).astype(np.float32)
    images = rng.random((max(BATCHES), *model.image_shape), np.float32)
    decoder = export_graph(adapted.decoder, z.shape[1:], "z", ["image"], {}).SerializeToString()
    names = ["z_mean", "z_log_var"]
    encoder = export_graph(
        adapted.encoder, model.image_shape, "image", names, {}
    ).SerializeToString()
    fastest = fastest_rewrite(decoder, partial(reckoned, layouts=BLOCKED_LAYOUTS))
    rewritten = rewrite_for_cpu(decoder, INT8_PASSES) or decoder
    return [(fastest, quantized(rewritten, z), z), (encoder, quantized(encoder, images), images)]


def quantized(model_bytes: bytes, inputs: Float32) -> bytes | None:
    """The graph with every layer in int8 that gains from it; None where there is none."""
    model = onnx.load_from_string(model_bytes)
    nodes = [name for layer in layers_worth_quantizing(model) for name in layer]
    if not nodes:
        return None
    calibrated = CalibratedModel(model, inputs[:CALIBRATION_COUNT], nodes)
    return calibrated.quantize(nodes, ALL_VALUES)


def reckoned_gains(int8: bytes, fp32: bytes, condition: Condition) -> list[float]:
    """By batch."""
    before = reckoned(fp32, condition)
    after = reckoned(int8, condition)
    return [one / other for one, other in zip(before, after, strict=True)]


def shown(values: list[float]) -> str:
    return "; ".join(f"{value:.2f}" for value in values)


if __name__ == "__main__":
    main()
