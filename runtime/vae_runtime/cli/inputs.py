"""Images that commands take: their argument and options, and reading them some at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from vae_runtime.cli.options import PATH, progress_wanted
from vae_runtime.errors import VAEError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from vae_runtime.latents import Latents
    from vae_runtime.vae import VAE

AT_ONCE = 1024
Command = TypeVar("Command", bound=Callable[..., Any])
images_argument = click.argument("images", nargs=-1, required=True, type=PATH)


def preprocess_options(command: Command) -> Command:
    """--fit and --invert; without them the bundle's own."""
    for option in (
        click.option("--invert", is_flag=True, help="Dark ink on light paper."),
        click.option(
            "--fit", type=click.Choice(["contain", "stretch", "crop", "mnist"]), help="Default: the bundle's."
        ),
    ):
        command = option(command)
    return command


def read(
    vae: VAE, paths: tuple[Path, ...], options: dict[str, Any], limit: int | None = None
) -> Iterator[tuple[list[str], NDArray[np.float32]]]:
    """Names and images (n, C, H, W) of all files and folders, 1,024 at a time; at least one, at most `limit`.

    Takes --fit and --invert out of `options`. On a terminal stderr says after a second how far it is.
    """
    import numpy as np

    from vae_runtime.bundle import Preprocess
    from vae_runtime.images import read_images

    own = vae.bundle.preprocess
    preprocess = Preprocess(options.pop("fit") or own.fit, options.pop("invert") or own.invert)
    items = islice(read_images(paths, vae.image_shape, preprocess), limit)
    began, done = time.monotonic(), 0
    while part := list(islice(items, AT_ONCE)):
        yield [item.name for item in part], np.stack([item.image for item in part])
        done += len(part)
        if progress_wanted() and time.monotonic() - began > 1:
            click.echo(f"\r{done:,} images", err=True, nl=False)
    if not done:
        raise VAEError(f"{paths[0]}: no images in it")
    if progress_wanted() and time.monotonic() - began > 1:
        click.echo("\r\033[K", err=True, nl=False)


def read_all(
    vae: VAE, paths: tuple[Path, ...], options: dict[str, Any], limit: int | None = None
) -> NDArray[np.float32]:
    """All the images at once, (N, C, H, W)."""
    import numpy as np

    return np.concatenate([images for _, images in read(vae, paths, options, limit)])


def encoded(vae: VAE, paths: tuple[Path, ...], options: dict[str, Any]) -> Latents:
    """The latents of all files and folders, with their names."""
    import numpy as np

    from vae_runtime.latents import Latents

    names: list[str] = []
    parts = []
    for some, images in read(vae, paths, options):
        names += some
        parts.append(vae.encode(images))
    return Latents(tuple(names), *(np.concatenate(part) for part in zip(*parts, strict=True)))
