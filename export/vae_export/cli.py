"""The command line of `vae-export`."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from vae_export import parity
from vae_export.export import export_checkpoint
from vae_export.modules import export_factory
from vae_runtime.bundle import Preprocess
from vae_runtime.errors import VAEError
from vae_runtime.images import read_images
from vae_train.checkpoint import load_checkpoint


def shape(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, int, int] | None:
    """Read C,H,W."""
    if value is None:
        return None
    parts = value.split(",")
    if len(parts) != 3 or not all(part.isdigit() and int(part) for part in parts):
        raise click.BadParameter(f"{value!r} is not three positive numbers, channels,height,width")
    return int(parts[0]), int(parts[1]), int(parts[2])


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("source")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="The bundle; default: SOURCE's name with .vae.")
@click.option(
    "--precision", "precisions", type=click.Choice(["fp32", "int8"]), multiple=True, default=["fp32"],
    help="int8 adds quantised graphs; may be repeated.",
)  # fmt: skip
@click.option(
    "--tolerance", type=click.FloatRange(0, min_open=True), default=parity.TOLERANCE, show_default=True,
    help="Largest difference to torch, relative to the output's largest magnitude.",
)  # fmt: skip
@click.option("--calibration", type=click.Path(path_type=Path), help="Images for int8 in place of the checkpoint's.")
@click.option("--weights", type=click.Path(path_type=Path), help="For a factory: a file with its state_dict.")
@click.option("--image-shape", callback=shape, metavar="C,H,W", help="For a factory: C,H,W.")
@click.option("--latent-dim", type=click.IntRange(1), help="For a factory.")
@click.option("--force", is_flag=True, help="Replace an existing bundle.")
@click.version_option(package_name="vae-edge")
def command(
    source: str,
    output: Path | None,
    precisions: tuple[str, ...],
    tolerance: float,
    calibration: Path | None,
    weights: Path | None,
    image_shape: tuple[int, int, int] | None,
    latent_dim: int | None,
    force: bool,
) -> None:
    """Export a checkpoint of vae-train to a bundle for vae-run.

    SOURCE is model.pt, or package.module:factory for a torch module with encode and decode methods.

    Example: vae-export runs/digits/model.pt -o digits.vae
    """
    if ":" in source and not Path(source).exists():
        if image_shape is None or latent_dim is None:
            raise click.UsageError("a factory needs --image-shape and --latent-dim")
        target = output or Path(source.partition(":")[2] + ".vae")
        bundle = export_factory(source, weights, image_shape, latent_dim, target, tolerance=tolerance, force=force)
    else:
        images = None if calibration is None else _calibration(Path(source), calibration)
        target, bundle = export_checkpoint(
            source, output, precisions=precisions, tolerance=tolerance, calibration=images, force=force
        )
    click.echo(parity.table({variant.name: variant.parity for variant in bundle.variants}))
    for variant in bundle.variants:
        size = (variant.encoder.bytes + variant.decoder.bytes) / 1e6
        change = "" if variant.elbo_change is None else f", ELBO {variant.elbo_change:+.3f} nats"
        click.echo(f"{variant.name:<8} {variant.precision} for {', '.join(variant.providers)}, {size:.2f} MB{change}")
    click.echo(target)


def _calibration(checkpoint: Path, path: Path) -> np.ndarray:
    config = load_checkpoint(checkpoint).config
    images = [named.image for named in read_images([path], config.image_shape, Preprocess(config.fit))]
    if len(images) < 16:
        raise VAEError(f"{path}: int8 needs at least 16 images for calibration, not {len(images)}")
    return np.stack(images)
