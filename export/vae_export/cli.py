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
from vae_runtime.images import pictures_in, read_images
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
@click.option("--calibration", type=click.Path(path_type=Path), help="Images for int8, in place of a checkpoint's.")
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
        images = None if calibration is None else _images(calibration, image_shape, Preprocess())
        bundle = export_factory(
            source, weights, image_shape, latent_dim, target,
            precisions=precisions, images=images, tolerance=tolerance, force=force,
        )  # fmt: skip
    else:
        if weights or image_shape or latent_dim:
            raise click.UsageError("--weights, --image-shape and --latent-dim are for a factory, not for a checkpoint")
        images = None
        if calibration is not None:
            config = load_checkpoint(source).config
            images = _images(calibration, config.image_shape, Preprocess(config.fit))
        target, bundle = export_checkpoint(
            source, output, precisions=precisions, tolerance=tolerance, calibration=images, force=force
        )
    click.echo(parity.table({variant.name: variant.parity for variant in bundle.variants}))
    for variant in bundle.variants:
        size = (variant.encoder.bytes + variant.decoder.bytes) / 1e6
        change = "" if variant.elbo_change is None else f", ELBO {variant.elbo_change:+.3f} nats"
        click.echo(f"{variant.name:<8} {variant.precision} for {', '.join(variant.providers)}, {size:.2f} MB{change}")
    click.echo(target)


def _images(path: Path, image_shape: tuple[int, int, int], preprocess: Preprocess) -> np.ndarray:
    """Images to calibrate on, from all over a folder."""
    from vae_export.quantise import CALIBRATED

    paths = [path]
    if path.is_dir():
        found = pictures_in(path)
        paths = [found[i] for i in np.linspace(0, len(found) - 1, min(len(found), CALIBRATED)).astype(int)]
    images = [named.image for named in read_images(paths, image_shape, preprocess)]
    if len(images) < 16:
        raise VAEError(f"{path}: int8 needs at least 16 images for calibration, not {len(images)}")
    return np.stack(images)
