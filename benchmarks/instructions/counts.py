"""Instructions that calls of graphs execute on an emulated CPU."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

import click
import onnx
from onnx import TensorProto, helper

from benchmarks.instructions.emulator import Emulator
from benchmarks.instructions.guest import AS_IS, CALLS

GUEST = Path(__file__).with_name("guest.py")
MARK = re.compile(r"^mark \d+ (\d+)$", re.M)


def instructions(
    emulator: Emulator,
    cpu: str,
    graphs: Sequence[Path],
    batches: Sequence[int],
    *,
    as_is: bool = False,
) -> list[list[float]]:
    """Of each graph, at each batch, for each image: the fewest of several calls, since the first
    ones allocate.

    All run in one process; as they are, graphs aren't optimized any further.
    """
    calls = list(product(graphs, batches))
    described = [f"{graph}@{batch}" for graph, batch in calls]
    options = [AS_IS] if as_is else []
    done = emulator.python(cpu, GUEST, *options, *described, counted=True)
    counts = [int(count) for count in MARK.findall(done.stderr)]
    if done.returncode or len(counts) != 2 * CALLS * len(calls):
        reason = (done.stderr.strip() or "no marks").splitlines()[-1]
        graph, batch = calls[min(len(counts) // (2 * CALLS), len(calls) - 1)]
        raise click.ClickException(f"{graph} doesn't run with {batch} images on {cpu}: {reason}")
    marks = iter(counts)
    return [[_fewest(marks) / batch for batch in batches] for _ in graphs]


def _fewest(marks: Iterator[int]) -> int:
    """Of the calls between the next marks, one before and one behind each."""
    spent = []
    for _ in range(CALLS):
        start = next(marks)
        spent.append(next(marks) - start)
    return min(spent)


def write_empty_graph(path: Path) -> Path:
    """A graph that computes nothing: what it takes is the call of onnxruntime from Python."""
    shape: list[str | int | None] = ["batch", 2]
    inputs = [helper.make_tensor_value_info("z", TensorProto.FLOAT, shape)]
    outputs = [helper.make_tensor_value_info("same", TensorProto.FLOAT, shape)]
    nodes = [helper.make_node("Identity", ["z"], ["same"])]
    graph = helper.make_graph(nodes, "empty", inputs, outputs)
    opset = helper.make_opsetid("", 18)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=9), path)
    return path
