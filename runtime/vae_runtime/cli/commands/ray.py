"""`vae-run ray`: whole data sets on Ray Data."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vae_runtime.cli.inputs import FitOptions, fit_options
from vae_runtime.cli.options import (
    PATH,
    Function,
    ModelOptions,
    add_as_record,
    model_options,
    refine_option,
)
from vae_runtime.cli.progress import ProgressLine
from vae_runtime.console import EXIT_FAILED, require_extra
from vae_runtime.latent.posterior import Inference
from vae_runtime.latent.scores import BOUNDS, Bound

if TYPE_CHECKING:
    from vae_runtime.batch import Operation

RUN_OPTIONS = (
    click.argument("source", type=PATH),
    click.option("--output", "-o", type=PATH, required=True, help="A folder of Parquet files."),
    click.option("--column", help="What to compute from.  [default: image; z_mean for decode]"),
    click.option(
        "--workers",
        type=click.IntRange(1),
        help="Actors, each with --threads CPUs, 1 by default.  [default: as many as fit]",
    ),
    click.option("--force", is_flag=True, help="Replace the parts of another job."),
)


@dataclass(frozen=True)
class RunOptions:
    """SOURCE, -o, --column, --workers and --force, as `run_options` reads them."""

    source: Path
    output: Path
    column: str | None
    workers: int | None
    force: bool


def run_options(command: Function) -> Function:
    """Add the argument and the options that all of these commands share, as `run`."""
    return add_as_record(command, "run", RunOptions, RUN_OPTIONS)


@click.group("ray", invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> None:
    """Compute whole data sets on Ray, on this machine or a cluster.

    SOURCE is a folder of images or of Parquet files, or a .parquet, .npy, .npz or IDX file. Ray
    starts here, or joins the cluster that RAY_ADDRESS names. A run that was killed goes on where it
    stopped when it is started again.

    Example: vae-run ray encode photos/ -o latents/
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@command.command("encode")
@run_options
@fit_options
@refine_option
@model_options
def encode(run: RunOptions, fit: FitOptions, inference: Inference, model: ModelOptions) -> int:
    """Write the latents of images: z_mean and z_log_var.

    Example: vae-run ray encode train.parquet -o latents/
    """
    _require_ray()
    from vae_runtime.batch import Encode

    return _compute(run, model, Encode(fit=fit.fit, invert=fit.inverted, inference=inference))


@command.command("score")
@run_options
@fit_options
@click.option("--samples", type=click.IntRange(1), default=1, show_default=True)
@click.option("--bound", type=click.Choice(BOUNDS), help="[default: elbo]")
@click.option("--relative", is_flag=True, help="Against what each image allows.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@model_options
def score(
    run: RunOptions,
    fit: FitOptions,
    samples: int,
    bound: Bound | None,
    relative: bool,
    seed: int,
    model: ModelOptions,
) -> int:
    """Write the scores of images, in nats.

    Example: vae-run ray score inbox/ -o scores/
    """
    _require_ray()
    from vae_runtime.batch import Score

    operation = Score(
        fit=fit.fit,
        invert=fit.inverted,
        samples=samples,
        bound=bound,
        relative=relative,
        seed=seed,
    )
    return _compute(run, model, operation)


@command.command("reconstruct")
@run_options
@fit_options
@refine_option
@model_options
def reconstruct(run: RunOptions, fit: FitOptions, inference: Inference, model: ModelOptions) -> int:
    """Write the reconstructions of images, as PNG files in a column.

    Example: vae-run ray reconstruct photos/ -o pairs/
    """
    _require_ray()
    from vae_runtime.batch import Reconstruct

    operation = Reconstruct(fit=fit.fit, invert=fit.inverted, inference=inference, images="png")
    return _compute(run, model, operation)


@command.command("decode")
@run_options
@model_options
def decode(run: RunOptions, model: ModelOptions) -> int:
    """Write the images of latents, as PNG files in a column.

    Example: vae-run ray decode latents/ -o decoded/
    """
    _require_ray()
    from vae_runtime.batch import Decode

    return _compute(run, model, Decode(images="png"))


def _require_ray() -> None:
    require_extra("vae-run ray", "ray", ["ray", "pyarrow"])


def _compute(run: RunOptions, model: ModelOptions, operation: Operation) -> int:
    """Write the parts that are missing, and print what there is in the end."""
    from vae_runtime.bundle.packing import packed
    from vae_runtime.cluster.output import OutputFolder, job_of
    from vae_runtime.cluster.parts import open_source
    from vae_runtime.cluster.ray_data import Workers, write_parts
    from vae_runtime.vae import EMBEDDED_BUNDLE

    bundle = packed(model.bundle or EMBEDDED_BUNDLE)
    operation = replace(
        operation,
        # The bytes travel to the workers, which need not have the file.
        bundle=bundle,
        column=run.column or operation.column,
        provider=model.provider,
        precision=model.precision,
        threads=model.threads or 1,
    )
    # What is wrong with the model is found here, not on every machine.
    operation.vae.verify()
    source = open_source(run.source, operation.column)
    output = OutputFolder(run.output, len(source.parts))
    output.begin(job_of(operation, bundle, source), run.force)
    counts = output.done()
    found = len(counts)
    missing = {n: part for n, part in enumerate(source.parts) if n not in counts}
    workers = Workers(run.workers, model.threads or 1, int(model.provider.startswith("cuda")))
    began = time.monotonic()
    with ProgressLine(source.rows) as progress:
        progress.advance(sum(count.rows for count in counts.values()))
        before = progress.done
        if missing:
            for number, count in write_parts(missing, operation, output, workers):
                counts[number] = count
                progress.advance(count.rows)
    seconds = time.monotonic() - began
    rows = sum(count.rows for count in counts.values())
    errors = sum(count.errors for count in counts.values())
    speed = (rows - before) / seconds if missing else 0
    click.echo(
        f"{run.output}: {rows:,} rows, {errors:,} errors; part files: {len(counts)}, {found} of "
        f"them from before; {seconds:.0f} s, {speed:,.0f} rows per second"
    )
    return EXIT_FAILED if errors else 0
