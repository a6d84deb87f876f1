"""The proof that a graph computes what torch computes: measured against torch in float64."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import nn

from vae_export.contract import as_list, copied
from vae_runtime.errors import VAEError

Array = NDArray[np.float32]
BATCHES = (1, 2, 7, 64, 256)
TOLERANCE = 1e-5
AT_ONCE = 64


@dataclass(frozen=True)
class Difference:
    """Of one output over all batches, against float64: largest and mean absolute difference.

    `torch` is the largest of torch's own float32, `magnitude` the largest absolute value of the output.
    """

    largest: float
    mean: float
    torch: float
    magnitude: float

    def allowed(self, tolerance: float) -> float:
        """The larger of the tolerance and four times torch's own error, relative to the largest magnitude."""
        return max(tolerance * max(self.magnitude, 1e-30), 4 * self.torch)

    def to_dict(self) -> dict[str, float]:
        return {"largest": self.largest, "mean": self.mean, "torch": self.torch, "magnitude": self.magnitude}


@dataclass(frozen=True)
class Expected:
    """What torch gives for `inputs` (N, …): every output in float64, and in its own float32."""

    inputs: Array
    precise: list[NDArray[np.float64]]
    single: list[Array]


def session(
    content: bytes, level: onnxruntime.GraphOptimizationLevel = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
) -> onnxruntime.InferenceSession:
    """A quiet single-threaded session on the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    options.graph_optimization_level = level
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def run(content: bytes, inputs: Array) -> list[Array]:
    """Every output of a graph for `inputs` (N, …), 64 at a time."""
    graph = session(content)
    name = graph.get_inputs()[0].name
    parts = [graph.run(None, {name: inputs[i : i + AT_ONCE]}) for i in range(0, len(inputs), AT_ONCE)]
    return [np.concatenate(values) for values in zip(*parts, strict=True)]


@torch.no_grad()
def expect(module: nn.Module, inputs: Array) -> Expected:
    """Run `module`, in evaluation mode, on `inputs` (at least 256, …).

    A module that can't run in float64 is compared with its own float32.
    """
    images = torch.from_numpy(inputs)
    single = _arrays(module(images))
    try:
        precise = _arrays(copied(module).double()(images.double()))
    except RuntimeError:  # a forward that makes float32 tensors of its own
        precise = [value.astype(np.float64) for value in single]
    return Expected(inputs, precise, single)


def measure(expected: Expected, content: bytes) -> dict[str, Difference]:
    """Run the graph in batches of 1, 2, 7, 64 and 256 of the inputs that torch was given."""
    graph = session(content)
    name = graph.get_inputs()[0].name
    outputs = [output.name for output in graph.get_outputs()]
    collected: dict[str, list[tuple[float, float, float, float]]] = {output: [] for output in outputs}
    for batch in BATCHES:
        values = graph.run(None, {name: expected.inputs[:batch]})
        precise, single = ([v[:batch] for v in side] for side in (expected.precise, expected.single))
        for output, value, want, own in zip(outputs, values, precise, single, strict=True):
            if value.shape != want.shape:
                raise VAEError(f"{output}: the graph gives {value.shape} for a batch of {batch}, torch {want.shape}")
            error = np.abs(value - want)
            collected[output].append(
                (float(error.max()), float(error.mean()), float(np.abs(own - want).max()), float(np.abs(want).max()))
            )
    return {output: _summary(np.array(values)) for output, values in collected.items()}


def require(differences: Mapping[str, Difference], tolerance: float) -> None:
    """Raise VAEError naming the first output that is further from torch than allowed."""
    for output, difference in differences.items():
        if not difference.largest <= difference.allowed(tolerance):
            raise VAEError(
                f"{output} differs from torch by {difference.largest:.3g}, more than the allowed "
                f"{difference.allowed(tolerance):.3g}; nothing was written (--tolerance sets the limit)"
            )


def report(differences: Mapping[str, Difference]) -> dict[str, Any]:
    """What bundle.json keeps of one graph."""
    return {
        "batches": list(BATCHES),
        "largest": max(d.largest for d in differences.values()),
        "mean": max(d.mean for d in differences.values()),
        "outputs": {output: d.to_dict() for output, d in differences.items()},
    }


def table(parities: Mapping[str, Mapping[str, Any]]) -> str:
    """A short table: one row per variant and output."""
    rows = [
        f"{'variant':<8} {'output':<10} {'largest':>9} {'mean':>9} {'torch f32':>9}   "
        "difference from float64 (int8: from fp32)"
    ]
    for variant, parity in parities.items():
        for graph in parity.values():
            for output, d in graph["outputs"].items():
                rows.append(f"{variant:<8} {output:<10} {d['largest']:>9.1e} {d['mean']:>9.1e} {d['torch']:>9.1e}")
    return "\n".join(rows)


def _arrays(outputs: Any) -> list[NDArray[Any]]:
    return [value.numpy() for value in as_list(outputs)]


def _summary(values: NDArray[np.float64]) -> Difference:
    return Difference(values[:, 0].max(), values[:, 1].mean(), values[:, 2].max(), values[:, 3].max())
