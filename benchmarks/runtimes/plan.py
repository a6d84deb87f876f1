"""What a guest program is to run: graphs, and files of raw float32 that go in and come out.

Every engine's guest reads the same plan, in whatever language it is written.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vae_runtime.arrays import Float32
from vae_runtime.bundle import Bundle, GraphFile

INPUTS = {"encoder": "image", "decoder": "z"}
OUTPUTS = {"encoder": ("z_mean", "z_log_var"), "decoder": ("image",)}


@dataclass(frozen=True)
class Job:
    """One graph with the check data that it is run on; `batch` is None where that is free."""

    part: str
    graph: Path
    inputs: Float32
    batch: int | None

    @property
    def filled_up(self) -> Float32:
        """The inputs, the first ones repeated until the batch divides them."""
        batch = self.batch or len(self.inputs)
        count = -(-len(self.inputs) // batch) * batch
        return np.resize(self.inputs, (count, *self.inputs.shape[1:]))


def jobs_of(folder: Path, bundle: Bundle, images: Float32, latents: Float32) -> list[Job]:
    """Every graph of a bundle once, encoders first."""
    jobs: dict[str, Job] = {}
    for variant in bundle.variants:
        for part, file, inputs in (
            ("encoder", variant.encoder, images),
            ("decoder", variant.decoder, latents),
        ):
            jobs.setdefault(file.file, Job(part, _path(folder, file), inputs, variant.batch))
    return sorted(jobs.values(), key=lambda job: (job.part != "encoder", job.graph.name))


def write_plan(jobs: list[Job], folder: Path) -> Path:
    """Write the plan and its inputs into a folder."""
    entries = []
    for i, job in enumerate(jobs):
        inputs = job.filled_up
        (folder / f"{i}.in").write_bytes(inputs.tobytes())
        outputs = {name: str(folder / f"{i}.{name}") for name in OUTPUTS[job.part]}
        entries.append(
            {
                "graph": str(job.graph),
                "input": INPUTS[job.part],
                "file": str(folder / f"{i}.in"),
                "dims": [job.batch or len(inputs), *inputs.shape[1:]],
                "runs": len(inputs) // (job.batch or len(inputs)),
                "outputs": outputs,
            }
        )
    path = folder / "plan.json"
    path.write_text(json.dumps(entries), "utf-8")
    return path


def read_outputs(jobs: list[Job], folder: Path) -> list[dict[str, Float32]]:
    """What the guest wrote, flat, for the inputs that aren't repetitions."""
    results = []
    for i, job in enumerate(jobs):
        values = {}
        for name in OUTPUTS[job.part]:
            array = np.fromfile(folder / f"{i}.{name}", np.float32)
            values[name] = array.reshape(len(job.filled_up), -1)[: len(job.inputs)]
        results.append(values)
    return results


def _path(folder: Path, file: GraphFile) -> Path:
    return (folder / file.file).absolute()
