"""`python -m benchmarks.runtimes BUNDLE`: what every engine makes of a bundle's graphs.

Compared with check.npz, which is what torch gave: the largest difference of an encoder's outputs,
and of a decoder's images, with the pixels that another level of 256 would be written for.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np

from benchmarks.instructions.emulator import CPUS, REPOSITORY, emulator_in
from benchmarks.runtimes.c_program import compile_for_arm, compile_here
from benchmarks.runtimes.engines import Engine, EngineError, engines_in
from benchmarks.runtimes.plan import Job, jobs_of, read_outputs, write_plan
from benchmarks.tables import header, row
from vae_runtime.arrays import Float32
from vae_runtime.bundle.reading import as_storage, read_bundle
from vae_runtime.check import read_check
from vae_runtime.console import CONTEXT_SETTINGS
from vae_runtime.formats.sheets import sheet

DEFAULT_FOLDER = REPOSITORY / "build" / "runtimes"
# A latent, its decoder -> the path of a picture.
Decode = Callable[[Path, Float32, Path], None]


@click.command(context_settings=CONTEXT_SETTINGS)
@click.argument("bundle", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--folder", type=Path, default=DEFAULT_FOLDER, show_default=True)
def main(bundle: Path, folder: Path) -> None:
    """Compare every engine with torch on the check data of BUNDLE, a folder.

    What isn't here is downloaded by pip, npm and apt.
    """
    storage = as_storage(bundle)
    records = read_bundle(storage)
    if records.dynamic_size:
        raise click.ClickException(f"{bundle}: graphs of a dynamic size are not compared")
    reference = read_check(storage, records)
    jobs = jobs_of(bundle, records, reference["images"], reference["latents"])
    click.echo(header(["engine", *(job.graph.name.removesuffix(".onnx") for job in jobs)]))
    for engine in engines_in(folder):
        click.echo(row([engine.name, *_cells(engine, jobs, reference)]))
    for name, decode in _c_programs(folder).items():
        click.echo(row([name, *_c_cells(decode, jobs, reference)]))


def _cells(engine: Engine, jobs: list[Job], reference: dict[str, Float32]) -> list[str]:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        try:
            engine.run(write_plan(jobs, folder))
        except EngineError as error:
            return [f"failed: {error}"] * len(jobs)
        return [
            _cell(job, values, reference)
            for job, values in zip(jobs, read_outputs(jobs, folder), strict=True)
        ]


def _cell(job: Job, values: dict[str, Float32], reference: dict[str, Float32]) -> str:
    if job.part == "encoder":
        return f"{max(_difference(values[name], reference[name]) for name in values):.1e}"
    images = values["image"].reshape(reference["decoded"].shape)
    changed = _changed_pixels(_levels(images), _levels(reference["decoded"]))
    return f"{_difference(images, reference['decoded']):.1e}, {changed}"


def _difference(array: Float32, expected: Float32) -> float:
    return float(np.abs(array - expected.reshape(array.shape)).max())


def _levels(images: Float32) -> np.ndarray:
    """The levels that the runtime writes for images (N, C, H, W)."""
    return np.stack([sheet(image[None], columns=1) for image in images]).astype(int)


def _changed_pixels(levels: np.ndarray, expected: np.ndarray) -> str:
    differences = np.abs(levels - expected)
    count = int((differences > 0).sum())
    return f"{count} px by {differences.max()}" if count else "0 px"


def _c_programs(folder: Path) -> dict[str, Decode]:
    """examples/c/decode.c, here and on an emulated board."""
    here = compile_here(folder)
    emulator = emulator_in()
    board = compile_for_arm(folder, emulator)

    def run_here(graph: Path, z: Float32, picture: Path) -> None:
        subprocess.run([here, graph, picture, *map(str, z)], check=True, capture_output=True)

    def run_there(graph: Path, z: Float32, picture: Path) -> None:
        emulator.run(CPUS[0], [board, graph, picture, *map(str, z)]).check_returncode()

    return {"C program, this CPU": run_here, "C program, Cortex-A72": run_there}


def _c_cells(decode: Decode, jobs: list[Job], reference: dict[str, Float32]) -> list[str]:
    expected = _levels(reference["decoded"])
    cells = []
    for job in jobs:
        if job.part == "encoder" or job.batch not in (None, 1):
            cells.append("–")
            continue
        levels = []
        with tempfile.TemporaryDirectory() as folder:
            picture = Path(folder) / "image.pgm"
            for z in job.inputs:
                decode(job.graph, z, picture)
                levels.append(_read_pnm(picture))
        cells.append(_changed_pixels(np.stack(levels).reshape(expected.shape), expected))
    return cells


def _read_pnm(path: Path) -> np.ndarray:
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image, int)


if __name__ == "__main__":
    main()
