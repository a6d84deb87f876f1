"""Writing what a command made: a sheet, an array, a folder of pictures."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vae_runtime.cli.options import progress_wanted
from vae_runtime.errors import VAEError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from vae_runtime.png import Pixels

    Chunks = Iterable[NDArray[np.float32]]

MOST_TILES = 10_000


def write_images(
    chunks: Chunks,
    shape: tuple[int, ...],
    output: Path,
    *,
    columns: int | None = None,
    scale: int = 1,
    force: bool = False,
) -> None:
    """Write chunks (k, C, H, W), together of `shape`, as the suffix of `output` says, and print its path.

    Raises VAEError for an unknown suffix, too many tiles for one sheet, or an output that cannot be written.
    """
    suffix = output.suffix.lower()
    chunks = _with_progress(chunks, shape[0])
    if str(output) == "-" or suffix == ".png":
        _write_sheet(chunks, shape, output, columns, scale)
        return
    if suffix == ".npy":
        from vae_runtime.files import atomic_file
        from vae_runtime.npy import write_npy

        with atomic_file(output) as temporary, temporary.open("wb") as file:
            write_npy(file, chunks, shape)
    elif suffix and not output.is_dir():
        raise VAEError(f"{output}: an output ends in .png or .npy, or is a folder (one that exists, or has no dot)")
    else:
        _write_folder(chunks, shape[0], output, scale, force)
    announce(output)


def write_picture(pixels: Pixels, output: Path) -> None:
    """Write one picture as PNG, or to stdout for -, and print its path."""
    from vae_runtime.png import save_png

    if str(output) != "-" and output.suffix.lower() != ".png":
        raise VAEError(f"{output}: this picture is a PNG; give a name that ends in .png")
    save_png(pixels, sys.stdout.buffer if str(output) == "-" else output)
    announce(output)


def announce(output: Path) -> None:
    if str(output) != "-":
        click.echo(output)


def _write_sheet(chunks: Chunks, shape: tuple[int, ...], output: Path, columns: int | None, scale: int) -> None:
    import numpy as np

    from vae_runtime.png import sheet

    if shape[0] > MOST_TILES:
        raise VAEError(f"{output}: a sheet holds up to {MOST_TILES} images, not {shape[0]}; use .npy or a folder")
    write_picture(sheet(np.concatenate(list(chunks)), columns, scale=scale), output)


def _write_folder(chunks: Chunks, n: int, output: Path, scale: int, force: bool) -> None:
    from vae_runtime.files import atomic_directory, merging_directory
    from vae_runtime.png import sheet, write_png

    width = len(str(n - 1))
    opened: AbstractContextManager[Path] = merging_directory(output) if force else atomic_directory(output)
    with opened as folder:
        index = 0
        for chunk in chunks:
            for image in chunk:
                with (folder / f"{index:0{width}d}.png").open("wb") as file:
                    write_png(sheet(image[None], scale=scale), file)
                index += 1


def _with_progress(chunks: Chunks, n: int) -> Iterator[Any]:
    """Pass the chunks on; after a second, and on a terminal, say on stderr how far they are."""
    began, done, shown = time.monotonic(), 0, False
    for chunk in chunks:
        yield chunk
        done += len(chunk)
        if progress_wanted() and done < n and time.monotonic() - began > 1:
            click.echo(f"\r{done:,} of {n:,} images ({done / n:.0%})", err=True, nl=False)
            shown = True
    if shown:
        click.echo("\r\033[K", err=True, nl=False)
