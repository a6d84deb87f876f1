"""`python -m benchmarks.instructions.nodes GRAPH`: which nodes the instructions are spent in.

The graph is optimized as onnxruntime does it on that CPU, then counted up to its first node, its
second, and so on: a node takes what the graph that ends with it takes more than the one before.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import click
import onnx

from benchmarks.instructions.counts import instructions
from benchmarks.instructions.emulator import CPUS, DEFAULT_FOLDER, Emulator, emulator_in
from benchmarks.tables import header, row
from vae_runtime.console import CONTEXT_SETTINGS

OPTIMIZE = """
import sys
import onnxruntime

options = onnxruntime.SessionOptions()
options.optimized_model_filepath = sys.argv[2]
onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
"""


@click.command(context_settings=CONTEXT_SETTINGS)
@click.argument("graph", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--cpu", default=CPUS[1], show_default=True)
@click.option("--batch", "batches", type=int, multiple=True, default=(1, 16), show_default=True)
@click.option("--emulator", "folder", type=Path, default=DEFAULT_FOLDER, show_default=True)
def main(graph: Path, cpu: str, batches: tuple[int, ...], folder: Path) -> None:
    """Count the instructions of every node of GRAPH, an ONNX file, on an emulated CPU."""
    emulator = emulator_in(folder)
    click.echo(f"Thousands of instructions per image, one thread, {cpu}\n")
    click.echo(header(["node", "weights", *(f"batch {batch}" for batch in batches)]))
    with tempfile.TemporaryDirectory() as temporary:
        optimized = _optimized(emulator, cpu, graph, Path(temporary))
        parts = _parts(optimized, Path(temporary))
        counts = instructions(emulator, cpu, parts, batches, as_is=True)
    shapes = {
        tensor.name: "x".join(map(str, tensor.dims)) for tensor in optimized.graph.initializer
    }
    before = [0.0] * len(batches)
    for node, until in zip(optimized.graph.node, counts, strict=True):
        weights = next((shapes[name] for name in node.input if "x" in shapes.get(name, "")), "")
        spent = [now - then for now, then in zip(until, before, strict=True)]
        click.echo(row([node.op_type, weights, *(f"{count / 1e3:,.1f}" for count in spent)]))
        before = until


def _optimized(emulator: Emulator, cpu: str, graph: Path, folder: Path) -> onnx.ModelProto:
    path = folder / "optimized.onnx"
    done = emulator.python(cpu, "-c", OPTIMIZE, graph, path)
    if done.returncode:
        raise click.ClickException(f"{graph}: {done.stderr.strip().splitlines()[-1]}")
    return onnx.load(path)


def _parts(model: onnx.ModelProto, folder: Path) -> list[Path]:
    """The model up to each of its nodes, with what nothing in it takes as its outputs."""
    paths = []
    kinds = {value.name: value for value in (*model.graph.value_info, *model.graph.output)}
    for end in range(1, len(model.graph.node) + 1):
        part = onnx.ModelProto()
        part.CopyFrom(model)
        del part.graph.node[end:]
        taken = {name for node in part.graph.node for name in node.input}
        del part.graph.output[:]
        for node in part.graph.node:
            for name in node.output:
                if name and name not in taken:
                    part.graph.output.append(kinds.get(name, onnx.ValueInfoProto(name=name)))
        kept = [tensor for tensor in part.graph.initializer if tensor.name in taken]
        del part.graph.initializer[:]
        part.graph.initializer.extend(kept)
        del part.graph.value_info[:]
        paths.append(folder / f"{end}.onnx")
        onnx.save(part, paths[-1])
    return paths


if __name__ == "__main__":
    main()
