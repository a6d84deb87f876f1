"""python -m benchmarks.zoo.profiles: what other people's decoders spend their time on.

By onnxruntime's own profile of the graph that `torch.onnx.export` writes, on one thread: of each
node the least time of several runs.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from pathlib import Path

import click
import numpy as np
import onnxruntime
import torch

from benchmarks.plain import plain_graph
from benchmarks.zoo.models import ZooModel, zoo
from vae_export.adapters import Hints, ImageRange, adapt
from vae_runtime.arrays import Float32
from vae_runtime.bench import machine

BATCH = 16
RUNS = 12
SHOWN = 4


@click.command()
@click.option("--only", default="", help="Models whose names contain this.")
def main(only: str) -> None:
    """Profile each decoder of the zoo that can be made here."""
    click.echo(f"{machine()['cpu']}, onnxruntime {onnxruntime.__version__}\n")
    click.echo(f"| decoder | ms, batch {BATCH} | of it |")
    click.echo("|---|---|---|")
    for name, model in zoo().items():
        if only not in name:
            continue
        times = profile(*plain_decoder(model))
        total = sum(times.values())
        parts = []
        for operator, microseconds in times.most_common(SHOWN):
            parts.append(f"{operator} {microseconds / total:.0%}")
        click.echo(f"| {name} | {total / 1000:.1f} | {', '.join(parts)} |")


def plain_decoder(model: ZooModel) -> tuple[bytes, Float32]:
    """What torch writes of it, with random weights, and latents (BATCH, D)."""
    torch.manual_seed(0)
    hints = Hints(ImageRange(*model.image_range, clamped=True) if model.image_range else None)
    adapted = adapt(model.make().eval(), image_shape=model.image_shape, hints=hints)
    graph = plain_graph(adapted.decoder, torch.zeros(2, adapted.latent_dim))
    rng = np.random.default_rng(0)
    return graph, rng.standard_normal((BATCH, adapted.latent_dim)).astype(np.float32)


def profile(model_bytes: bytes, inputs: Float32) -> Counter[str]:
    """Microseconds by operator."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.enable_profiling = True
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = onnxruntime.InferenceSession(
            model_bytes, options, providers=["CPUExecutionProvider"]
        )
        name = session.get_inputs()[0].name
        for _ in range(RUNS):
            session.run(None, {name: inputs})
        events = json.loads(Path(session.end_profiling()).read_text("utf-8"))
    least: dict[str, tuple[int, str]] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("kernel_time"):
            found = (event["dur"], event["args"]["op_name"])
            least[event["name"]] = min(found, least.get(event["name"], found))
    times: Counter[str] = Counter()
    for microseconds, operator in least.values():
        times[operator] += microseconds
    return times


if __name__ == "__main__":
    main()
