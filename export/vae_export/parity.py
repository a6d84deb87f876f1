"""The proof that a graph computes what torch computes: measured against torch in float64."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from vae_export.ort import open_session
from vae_export.torch_modules import as_list, copied
from vae_runtime.arrays import Float32, Float64
from vae_runtime.errors import VAEError

# Batch sizes that every graph is run with.
BATCHES = (1, 2, 7, 64, 256)
MAX_BATCH = max(BATCHES)
# Those that every network is proven with, however large.
SMALLEST_BATCHES = BATCHES[:3]
# Larger batches are left out where one pass of a part over the batch multiplies more often than
# this: it is about ten seconds of one core, in float32 and float64 together.
MAX_PROOF_PRODUCTS = 5e10
# Latents that are proven reach from minus this to this in every dimension.
LATENT_REACH = 4.0
# Relative to the output's largest magnitude.
TOLERANCE = 1e-5
# An output of nothing but zeros has no magnitude to be relative to.
MIN_MAGNITUDE = 1e-30
# A graph may be this much further from float64 than torch's own float32.
TORCH_ERRORS_ALLOWED = 4


@dataclass(frozen=True)
class Difference:
    """How far one output is from float64 over all batches: largest and mean absolute difference.

    `torch` is the largest of torch's own float32, `magnitude` the largest absolute value of the
    output.
    """

    largest: float
    mean: float
    torch: float
    magnitude: float

    def allowed(self, tolerance: float) -> float:
        """The larger of the relative tolerance and four times torch's own error."""
        relative = tolerance * max(self.magnitude, MIN_MAGNITUDE)
        return max(relative, TORCH_ERRORS_ALLOWED * self.torch)


@dataclass(frozen=True)
class Expected:
    """What torch gives for `inputs` (N, …): every output in float64, and in its own float32."""

    inputs: Float32
    in_float64: list[Float64]
    in_float32: list[Float32]


@dataclass
class _Errors:
    """What is measured of one output, one number per batch size."""

    largest: list[float] = field(default_factory=list)
    mean: list[float] = field(default_factory=list)
    torch: list[float] = field(default_factory=list)
    magnitude: list[float] = field(default_factory=list)

    def add(self, value: Float32, in_float64: Float64, in_float32: Float32) -> None:
        error = np.abs(value - in_float64)
        self.largest.append(float(error.max()))
        self.mean.append(float(error.mean()))
        self.torch.append(float(np.abs(in_float32 - in_float64).max()))
        self.magnitude.append(float(np.abs(in_float64).max()))

    def summary(self) -> Difference:
        return Difference(
            largest=_max(self.largest),
            mean=float(np.mean(self.mean)),
            torch=_max(self.torch),
            magnitude=_max(self.magnitude),
        )


@torch.no_grad()
def affordable_batches(module: nn.Module, inputs: Float32) -> tuple[int, ...]:
    """The batch sizes that a module is proven with: BATCHES, of large networks the first of them.

    Counted are the products of one of the `inputs` (N, …), so it is the same on every machine. A
    module of nothing that torch counts, such as an LSTM, takes all of them.
    """
    with _attention_in_steps(), FlopCounterMode(display=False) as counter:
        module(torch.from_numpy(inputs[:1]))
    # An operation is a product or a sum.
    products = counter.get_total_flops() / 2
    affordable = [batch for batch in BATCHES if batch * products <= MAX_PROOF_PRODUCTS]
    return tuple(affordable) if len(affordable) > len(SMALLEST_BATCHES) else SMALLEST_BATCHES


@contextmanager
def _attention_in_steps() -> Iterator[None]:
    """Compute attention in products of matrices: of fused kernels torch counts nothing."""
    was_enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(was_enabled)


@torch.no_grad()
def expect(module: nn.Module, inputs: Float32) -> Expected:
    """Run `module`, in evaluation mode, on `inputs` (N, …), as many as the largest batch.

    A module that can't run in float64 is compared with its own float32.
    """
    tensor = torch.from_numpy(inputs)
    in_float32 = _arrays(module(tensor))
    try:
        in_float64 = _arrays(copied(module).double()(tensor.double()))
    except RuntimeError:
        # Its forward makes float32 tensors of its own.
        in_float64 = [value.astype(np.float64) for value in in_float32]
    return Expected(inputs, in_float64, in_float32)


def measure(
    expected: Expected, model_bytes: bytes, batches: Sequence[int] = BATCHES
) -> dict[str, Difference]:
    """Run the graph in batches of so many of the inputs that torch was given."""
    return _measure(expected, model_bytes, [slice(0, batch) for batch in batches])


def measure_fixed(expected: Expected, model_bytes: bytes, batch: int) -> dict[str, Difference]:
    """Run a graph that takes `batch` images, no more and no fewer, on all of the inputs."""
    last = len(expected.inputs) - batch
    # The last ones overlap where the batch doesn't divide them.
    starts = [min(start, last) for start in range(0, len(expected.inputs), batch)]
    return _measure(expected, model_bytes, [slice(start, start + batch) for start in starts])


def _measure(
    expected: Expected, model_bytes: bytes, runs: Sequence[slice]
) -> dict[str, Difference]:
    """Run the graph on these rows of the inputs."""
    session = open_session(model_bytes)
    input_name = session.get_inputs()[0].name
    errors = {output.name: _Errors() for output in session.get_outputs()}
    for rows in runs:
        inputs = expected.inputs[rows]
        values = session.run(None, {input_name: inputs})
        for i, (output, value) in enumerate(zip(errors, values, strict=True)):
            in_float64 = expected.in_float64[i][rows]
            if value.shape != in_float64.shape:
                raise VAEError(
                    f"{output}: the graph gives {value.shape} for a batch of {len(inputs)}, "
                    f"torch {in_float64.shape}"
                )
            errors[output].add(value, in_float64, expected.in_float32[i][rows])
    return {output: collected.summary() for output, collected in errors.items()}


def require(differences: Mapping[str, Difference], tolerance: float) -> None:
    """Raise VAEError naming the first output that is further from torch than allowed."""
    for output, difference in differences.items():
        allowed = difference.allowed(tolerance)
        # NaN is never within.
        is_within = difference.largest <= allowed
        if not is_within:
            raise VAEError(
                f"{output} differs from torch by {difference.largest:.3g}, more than the allowed "
                f"{allowed:.3g}; nothing was written (--tolerance sets the limit)"
            )


def report(
    differences: Mapping[str, Difference], batches: Sequence[int] = BATCHES
) -> dict[str, Any]:
    """What bundle.json keeps of one graph."""
    return {
        "batches": list(batches),
        "largest": max(difference.largest for difference in differences.values()),
        "mean": max(difference.mean for difference in differences.values()),
        "outputs": {output: asdict(difference) for output, difference in differences.items()},
    }


def table(reports: Mapping[str, Mapping[str, Any]]) -> str:
    """A short table of each variant's reports by part: one row per variant and output."""
    rows = [
        f"{'variant':<8} {'output':<10} {'largest':>9} {'mean':>9} {'torch f32':>9}   "
        "difference from float64 (int8: from fp32)"
    ]
    for variant, parts in reports.items():
        for part in parts.values():
            for output, figures in part["outputs"].items():
                rows.append(
                    f"{variant:<8} {output:<10} {figures['largest']:>9.1e} "
                    f"{figures['mean']:>9.1e} {figures['torch']:>9.1e}"
                )
    return "\n".join(rows)


def _arrays(outputs: Any) -> list[NDArray[Any]]:
    return [value.numpy() for value in as_list(outputs)]


def _max(values: Sequence[float]) -> float:
    """The largest value; NaN where there is one, which Python's own `max` may miss."""
    return float(np.max(values))
