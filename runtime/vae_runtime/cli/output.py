"""Writing what a command made: a sheet, an array, a folder of image files, a text."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import click
import numpy as np

from vae_runtime.arrays import Float32
from vae_runtime.cli.options import is_stdout
from vae_runtime.cli.progress import ProgressLine
from vae_runtime.formats.files import atomic_file, atomic_folder, merging_folder
from vae_runtime.formats.npy import write_npy
from vae_runtime.formats.pictures import PICTURE_SUFFIXES, save_picture
from vae_runtime.formats.png import save_png, write_png
from vae_runtime.formats.sheets import Pixels, sheet

MAX_SHEET_TILES = 10_000


def write_images(
    chunks: Iterable[Float32],
    shape: tuple[int, ...],
    output: Path,
    *,
    columns: int | None = None,
    scale: int | None = None,
    gap: int = 0,
    force: bool = False,
) -> None:
    """Write chunks (k, C, H, W), together of `shape`, in the format that the suffix names.

    Raises VAEError for an unknown suffix, too many tiles for one sheet, or an output that cannot be
    written.
    """
    if is_sheet(output):
        _write_sheet(_with_progress(chunks, shape[0]), shape[0], output, columns, scale, gap)
        return
    suffix = output.suffix.lower()
    if suffix == ".npy":
        with atomic_file(output) as temporary, temporary.open("wb") as file:
            write_npy(file, _with_progress(chunks, shape[0]), shape)
    elif suffix and not output.is_dir():
        raise click.UsageError(
            f"{output}: an output ends in {', '.join(PICTURE_SUFFIXES)} or .npy, or is a folder "
            "(one that exists, or has no dot)"
        )
    else:
        _write_folder(_with_progress(chunks, shape[0]), shape[0], output, scale or 1, force)
    announce(output)


def is_sheet(output: Path) -> bool:
    """Whether all images go into one picture; an array or a folder holds each by itself."""
    return is_stdout(output) or output.suffix.lower() in PICTURE_SUFFIXES


def write_columns(
    columns: Mapping[str, Float32],
    output: Path,
    *,
    repeats: int = 1,
    scale: int | None = None,
    captions: bool = False,
) -> None:
    """Write images (N, C, H, W) side by side, by what they show, as one picture.

    Each row shows `repeats` images, in all the columns each.
    """
    rows = np.stack(list(columns.values()), 1)
    tiles = rows.reshape(-1, *rows.shape[2:])
    width = len(columns) * min(repeats, len(rows))
    pixels = sheet(tiles, width, scale=scale, gap=1)
    if captions:
        # Pillow, which draws the text, takes 10 ms to load.
        from vae_runtime.charts import with_headings

        pixels = with_headings(pixels, list(columns) * (width // len(columns)))
    write_picture(pixels, output)


def write_picture(pixels: Pixels, output: Path) -> None:
    """Write one picture as PNG, or to stdout for -, and print its path."""
    if is_stdout(output):
        if sys.stdout.isatty():
            raise click.UsageError("a picture can't be shown here: send it to a file or a pipe")
        save_png(pixels, sys.stdout.buffer)
        return
    save_picture(pixels, output)
    announce(output)


def write_text(text: str, output: Path) -> None:
    """Write a text whole, or to stdout for -, and print its path."""
    if is_stdout(output):
        click.echo(text, nl=False)
        return
    with atomic_file(output) as temporary:
        temporary.write_text(text, "utf-8")
    announce(output)


def announce(output: Path) -> None:
    """Print the path of a file that was written; the content of stdout stands alone."""
    if not is_stdout(output):
        click.echo(output)


def _write_sheet(
    chunks: Iterable[Float32],
    n: int,
    output: Path,
    columns: int | None,
    scale: int | None,
    gap: int,
) -> None:
    require_sheet_holds(n, output)
    images = np.concatenate(list(chunks))
    write_picture(sheet(images, columns, scale=scale, gap=gap), output)


def require_sheet_holds(n: int, output: Path) -> None:
    """Raise UsageError for more images than a sheet holds; arrays and folders hold any number."""
    if is_sheet(output) and n > MAX_SHEET_TILES:
        raise click.UsageError(
            f"{output}: a sheet holds up to {MAX_SHEET_TILES} images, not {n}; use .npy or a folder"
        )


def _write_folder(chunks: Iterable[Float32], n: int, output: Path, scale: int, force: bool) -> None:
    """One PNG per image, named by its number, with as many digits as the last one has."""
    digits = len(str(n - 1))
    opened: AbstractContextManager[Path] = atomic_folder(output)
    if force:
        opened = merging_folder(output)
    with opened as folder:
        index = 0
        for chunk in chunks:
            for image in chunk:
                with (folder / f"{index:0{digits}d}.png").open("wb") as file:
                    write_png(sheet(image[None], scale=scale), file)
                index += 1


def _with_progress(chunks: Iterable[Float32], n: int) -> Iterator[Float32]:
    """Pass the chunks on, and say on stderr how far they are."""
    with ProgressLine(total=n) as progress:
        for chunk in chunks:
            yield chunk
            progress.advance(len(chunk))
