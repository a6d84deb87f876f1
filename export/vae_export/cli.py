"""The command line of `vae-export`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from vae_export import parity
from vae_export.api import export_checkpoint
from vae_export.factory import export_factory
from vae_runtime.arrays import Float32, ImageShape
from vae_runtime.bundle import Bundle, Preprocess, Variant
from vae_runtime.console import CONTEXT_SETTINGS
from vae_runtime.errors import VAEError
from vae_runtime.formats.images import image_files_in, read_images
from vae_train.checkpoint import load_checkpoint

MIN_CALIBRATION_IMAGES = 16


@dataclass(frozen=True)
class ExportOptions:
    """The options that a checkpoint and a factory share."""

    output: Path | None
    precisions: tuple[str, ...]
    tolerance: float
    calibration: Path | None
    force: bool
    as_zip: bool
    with_card: bool


def parse_image_shape(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> ImageShape | None:
    """Read C,H,W. Raises click.BadParameter for anything else."""
    if value is None:
        return None
    parts = value.split(",")
    if len(parts) != 3 or not all(part.isdigit() and int(part) for part in parts):
        raise click.BadParameter(f"{value!r} is not three positive numbers, channels,height,width")
    channels, height, width = map(int, parts)
    return channels, height, width


@click.command(context_settings=CONTEXT_SETTINGS)
@click.argument("source")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    help="The bundle; default: SOURCE's name with .vae.",
)
@click.option(
    "--precision",
    "precisions",
    type=click.Choice(["fp32", "int8"]),
    multiple=True,
    default=["fp32"],
    help="int8 adds quantized graphs; may be repeated.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(0, min_open=True),
    default=parity.TOLERANCE,
    show_default=True,
    help="Largest difference to torch, relative to the output's largest magnitude.",
)
@click.option(
    "--calibration",
    type=click.Path(path_type=Path),
    help="Images for int8, in place of a checkpoint's.",
)
@click.option(
    "--weights", type=click.Path(path_type=Path), help="For a factory: a file with its state_dict."
)
@click.option(
    "--image-shape", callback=parse_image_shape, metavar="C,H,W", help="For a factory: C,H,W."
)
@click.option("--latent-dim", type=click.IntRange(1), help="For a factory.")
@click.option("--zip", "as_zip", is_flag=True, help="Write one file in place of a folder.")
@click.option(
    "--card", "with_card", is_flag=True, help="Add a README.md, as the Hugging Face Hub reads it."
)
@click.option("--force", is_flag=True, help="Replace an existing bundle.")
@click.version_option(package_name="vae-edge")
def command(
    source: str,
    output: Path | None,
    precisions: tuple[str, ...],
    tolerance: float,
    calibration: Path | None,
    weights: Path | None,
    image_shape: ImageShape | None,
    latent_dim: int | None,
    as_zip: bool,
    with_card: bool,
    force: bool,
) -> None:
    """Export a checkpoint of vae-train to a bundle for vae-run.

    SOURCE is model.pt, or package.module:factory for a torch module with encode and decode methods.

    Example: vae-export runs/digits/model.pt -o digits.vae
    """
    options = ExportOptions(
        output=output,
        precisions=precisions,
        tolerance=tolerance,
        calibration=calibration,
        force=force,
        as_zip=as_zip,
        with_card=with_card,
    )
    if ":" in source and not Path(source).exists():
        target, bundle = _export_factory(source, weights, image_shape, latent_dim, options)
    elif weights or image_shape or latent_dim:
        raise click.UsageError(
            "--weights, --image-shape and --latent-dim are for a factory, not for a checkpoint"
        )
    else:
        target, bundle = _export_checkpoint(source, options)
    click.echo(parity.table({variant.name: variant.parity for variant in bundle.variants}))
    for variant in bundle.variants:
        click.echo(f"{variant.name:<8} {_summary(variant)}")
    click.echo(target)


def _export_factory(
    factory: str,
    weights: Path | None,
    image_shape: ImageShape | None,
    latent_dim: int | None,
    options: ExportOptions,
) -> tuple[Path, Bundle]:
    if image_shape is None or latent_dim is None:
        raise click.UsageError("a factory needs --image-shape and --latent-dim")
    target = options.output
    if target is None:
        _, _, function_name = factory.partition(":")
        target = Path(function_name + ".vae")
    images = None
    if options.calibration is not None:
        images = _read_calibration(options.calibration, image_shape, Preprocess())
    bundle = export_factory(
        factory,
        weights,
        image_shape,
        latent_dim,
        target,
        precisions=options.precisions,
        images=images,
        tolerance=options.tolerance,
        force=options.force,
        as_zip=options.as_zip,
        with_card=options.with_card,
    )
    return target, bundle


def _export_checkpoint(checkpoint: str, options: ExportOptions) -> tuple[Path, Bundle]:
    images = None
    if options.calibration is not None:
        config = load_checkpoint(checkpoint).config
        preprocess = Preprocess(config.fit)
        images = _read_calibration(options.calibration, config.image_shape, preprocess)
    return export_checkpoint(
        checkpoint,
        options.output,
        precisions=options.precisions,
        tolerance=options.tolerance,
        calibration=images,
        force=options.force,
        as_zip=options.as_zip,
        with_card=options.with_card,
    )


def _read_calibration(path: Path, image_shape: ImageShape, preprocess: Preprocess) -> Float32:
    """Images (N, C, H, W) to calibrate on, of a folder as many as are used, from all over it."""
    from vae_export.int8.variant import CALIBRATION_IMAGES, spread_out

    paths = [path]
    if path.is_dir():
        found = image_files_in(path)
        paths = [found[i] for i in spread_out(len(found), CALIBRATION_IMAGES)]
    images = [named.image for named in read_images(paths, image_shape, preprocess)]
    if len(images) < MIN_CALIBRATION_IMAGES:
        raise VAEError(
            f"{path}: int8 needs at least {MIN_CALIBRATION_IMAGES} images for calibration, "
            f"not {len(images)}"
        )
    return np.stack(images)


def _summary(variant: Variant) -> str:
    # Not Variant.summary: an exporter also wants to see that rewriting fp32 graphs lost nothing.
    providers = ", ".join(variant.providers)
    line = f"{variant.precision} for {providers}, {variant.bytes / 1e6:.2f} MB"
    if variant.elbo_change is not None:
        line += f", ELBO {variant.elbo_change:+.3f} nats"
    return line
