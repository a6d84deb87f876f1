"""What options of `vae-export` hold: shapes, ranges, names of outputs, from text."""

from __future__ import annotations

import click

from vae_export.adapters import ImageRange
from vae_runtime.arrays import ImageShape


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


def parse_image_range(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> ImageRange | None:
    """Read LOW,HIGH. Raises click.BadParameter for anything else."""
    if value is None:
        return None
    try:
        low, high = map(float, value.split(","))
        return ImageRange(low, high, clamped=True)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not a range such as 0,1 or -1,1") from error


def parse_encoder_outputs(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[str | int, str | int] | None:
    """Read two names or positions. Raises click.BadParameter for anything else."""
    if value is None:
        return None
    parts = value.split(",")
    if len(parts) != 2 or not all(parts):
        raise click.BadParameter(f"{value!r} is not two names or positions, such as 1,2")
    mean, spread = [int(part) if part.isdigit() else part for part in parts]
    return mean, spread
