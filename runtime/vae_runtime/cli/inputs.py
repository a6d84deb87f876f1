"""Images that commands take: their argument and options, and reading them some at a time."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from vae_runtime.arrays import Float32
from vae_runtime.bundle import FITS, Fit, Preprocess
from vae_runtime.cli.options import (
    OWN_SIZE,
    PATH,
    STDIN,
    Function,
    ModelOptions,
    OwnSize,
    add_as_record,
)
from vae_runtime.cli.progress import ProgressLine
from vae_runtime.console import EXIT_FAILED
from vae_runtime.door import MAX_IMAGE_BYTES, MAX_PIXELS, read_limited
from vae_runtime.errors import VAEError
from vae_runtime.formats.images import NamedImage, own_sizes, read_image_bytes, read_images
from vae_runtime.formats.latents import Latents
from vae_runtime.latent.novelty import yardstick
from vae_runtime.latent.posterior import Inference

if TYPE_CHECKING:
    from vae_runtime.vae import VAE

READ_CHUNK = 1024  # Images.

FIT_OPTIONS = (
    click.option(
        "--fit",
        type=click.Choice(FITS),
        help="How a picture of another size is brought to the model's; default: the bundle's.",
    ),
    click.option("--invert", is_flag=True, help="Dark ink on light paper."),
)
PREPROCESS_OPTIONS = (
    *FIT_OPTIONS,
    click.option(
        "--max-pixels",
        type=click.IntRange(1),
        default=MAX_PIXELS,
        show_default=True,
        help="Refuse larger pictures; JPEG is decoded smaller instead.",
    ),
    click.option("--strict", is_flag=True, help="End at the first damaged file of a folder."),
)


@dataclass(frozen=True)
class FitOptions:
    """--fit and --invert, as `fit_options` reads them."""

    fit: Fit | None
    invert: bool

    @property
    def inverted(self) -> bool | None:
        """--invert can only be given: without it, None, the bundle's own way stays."""
        return self.invert or None


@dataclass(frozen=True)
class PreprocessOptions(FitOptions):
    """--fit, --invert, --max-pixels and --strict, as `preprocess_options` reads them."""

    max_pixels: int
    strict: bool

    def open(self, vae: VAE, paths: Sequence[Path], limit: int | None = None) -> ImageReader:
        """The images of files and folders, of each at most `limit`, as `vae` takes them."""
        preprocess = vae.bundle.preprocess.changed(self.fit, self.inverted)
        return ImageReader(vae, paths, preprocess, self.strict, limit, self.max_pixels)


@dataclass(frozen=True)
class ImageOptions(PreprocessOptions):
    """The argument IMAGES as well, as `image_options` reads it."""

    images: tuple[Path, ...]

    def open_images(self, vae: VAE, limit: int | None = None) -> ImageReader:
        return self.open(vae, self.images, limit)


def sized(
    images: ImageOptions, model: ModelOptions, size: tuple[int, int] | OwnSize | None
) -> tuple[ImageOptions, VAE]:
    """The model for images of this size (H, W), and how these are brought to it.

    Their own size is rounded down to the model's stride, and they are brought to it as by --fit
    crop, unless it says otherwise. Raises VAEError where they have several.
    """
    if size != OWN_SIZE:
        return images, model.load(size)
    vae = model.load()
    fitted = replace(images, fit=images.fit or "crop")
    return fitted, vae.of_size(*_common_size(images, vae))


def _common_size(images: ImageOptions, vae: VAE) -> tuple[int, int]:
    """The size that all pictures have once it is rounded down to the model's stride."""
    down, across = vae.bundle.stride if vae.bundle.dynamic_size else (1, 1)
    first: tuple[Path, tuple[int, int]] | None = None
    for path in images.images:
        if path == STDIN:
            raise click.UsageError(f"--size {OWN_SIZE} looks at files twice, so it takes no -")
        for file, (height, width) in own_sizes(path, images.max_pixels, strict=images.strict):
            size = (max(height // down, 1) * down, max(width // across, 1) * across)
            first = first or (file, size)
            if size != first[1]:
                raise VAEError(
                    f"{file}: is {height}×{width} pixels, {first[0]} another size, and one file "
                    f"takes images of one size: run each alone, or give --size H,W"
                )
    assert first is not None
    return first[1]


def fit_options(command: Function) -> Function:
    """Add --fit and --invert, which the command gets as `fit`."""
    return add_as_record(command, "fit", FitOptions, FIT_OPTIONS)


def preprocess_options(command: Function) -> Function:
    """Add --fit, --invert, --max-pixels and --strict, which the command gets as `preprocess`."""
    return add_as_record(command, "preprocess", PreprocessOptions, PREPROCESS_OPTIONS)


def image_options(command: Function, *, required: bool = True) -> Function:
    """Add the argument IMAGES and the options of `preprocess_options`, as `images`."""
    argument = click.argument("images", nargs=-1, required=required, type=PATH)
    return add_as_record(command, "images", ImageOptions, (argument, *PREPROCESS_OPTIONS))


class ImageReader:
    """Reads images once, by `chunks`, `read_all` or `encode_all`; - is an image file on stdin.

    A damaged file of a folder is named on stderr and left out, unless it is `strict`;
    `exit_status` says afterwards whether there was any. Images of the first chunk that the model
    plainly doesn't know earn one line of warning.
    """

    def __init__(
        self,
        vae: VAE,
        paths: Sequence[Path],
        preprocess: Preprocess,
        strict: bool,
        limit: int | None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self.max_pixels = max_pixels
        self.vae = vae
        self.paths = paths
        self.preprocess = preprocess
        self.strict = strict
        self.limit = limit
        self.damaged = 0

    @property
    def exit_status(self) -> int:
        return EXIT_FAILED if self.damaged else 0

    def chunks(self) -> Iterator[tuple[list[str], Float32]]:
        """Names and images (n, C, H, W), at most 1,024 at a time.

        Raises VAEError where there is no image at all.
        """
        items = islice(self._items(), self.limit)
        with ProgressLine() as progress:
            while chunk := list(islice(items, READ_CHUNK)):
                names = [item.name for item in chunk]
                images = np.stack([item.image for item in chunk])
                if not progress.done:
                    self._warn_of_unknown(names, images)
                yield names, images
                progress.advance(len(chunk))
        if self.damaged:
            click.echo(f"left out {self.damaged} damaged", err=True)
        if not progress.done:
            raise VAEError(f"{self.paths[0]}: no images in it")

    def read_all(self) -> Float32:
        """All the images at once, (N, C, H, W)."""
        return np.concatenate([images for _, images in self.chunks()])

    def encode_all(self, inference: Inference = "encoder") -> Latents:
        """The latents of all images, with their names."""
        names: list[str] = []
        means = []
        log_vars = []
        for chunk_names, images in self.chunks():
            z_mean, z_log_var = self.vae.encode(images, inference=inference)
            names += chunk_names
            means.append(z_mean)
            log_vars.append(z_log_var)
        return Latents(tuple(names), np.concatenate(means), np.concatenate(log_vars))

    def _items(self) -> Iterator[NamedImage]:
        shape = self.vae.image_shape
        on_damaged = None if self.strict else self._leave_out
        for path in self.paths:
            if path == STDIN:
                content = read_limited(sys.stdin.buffer, MAX_IMAGE_BYTES, "the image on stdin")
                image = read_image_bytes(content, shape, self.preprocess, self.max_pixels)
                yield NamedImage("-", image)
            else:
                yield from read_images(
                    [path],
                    shape,
                    self.preprocess,
                    on_damaged=on_damaged,
                    max_pixels=self.max_pixels,
                )

    def _leave_out(self, error: VAEError) -> None:
        self.damaged += 1
        click.echo(f"Warning: left out: {error}", err=True)

    def _warn_of_unknown(self, names: Sequence[str], images: Float32) -> None:
        known = yardstick(self.vae.variant)
        limit = known.unknown_below
        if limit is None:
            return
        scores = self.vae.score(images, relative=known.is_relative)
        unknown = np.flatnonzero(scores < limit)
        if not len(unknown):
            return
        first = unknown[0]
        others = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        advice = "try another --fit, or --invert for dark ink on light paper"
        click.echo(
            f"Warning: {names[first]}{others}: like nothing that the model knows "
            f"(score {scores[first]:.0f} nats, {limit:.0f} is far off already); {advice}",
            err=True,
        )
