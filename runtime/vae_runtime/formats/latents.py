"""Latent files: .npz, .csv, .json and .npy, written and read, never unpickled.

.npz has `z_mean`, `z_log_var` (N, *latent_shape) float32 and `name` (N,), where latent_shape is
(D,) or (C, h, w); JSON is a list of the same; .npy only z_mean. CSV, which has nothing but columns,
has the header `name,z_mean_0,…,z_log_var_0,…`: latents that are small images are flattened there.
"""

from __future__ import annotations

import csv
import io
import json
import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from vae_runtime.arrays import Float32, Float64, check_latents_of_shape
from vae_runtime.door import (
    MAX_CSV_BYTES,
    MAX_JSON_BYTES,
    MAX_LATENT_NUMBERS,
    is_file,
    open_file,
    parse_json,
    read_file,
)
from vae_runtime.errors import VAEError
from vae_runtime.formats.files import atomic_file
from vae_runtime.formats.npy import load_numpy, load_numpy_bytes

LatentFormat = Literal["csv", "json", "npz", "npy"]
# What .npy and .npz files begin with.
NUMPY_MAGICS = (b"\x93NUMPY", b"PK")
# As float64, the widest type that they may have.
MAX_LATENT_BYTES = 8 * MAX_LATENT_NUMBERS
TEXT_FORMATS = ("csv", "json")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
CSV_EXPECTED = "the header name,z_mean_0,… and at least one row were expected"
# What parsing and checking raise. OverflowError is numpy's, for numbers beyond every float;
# UnicodeDecodeError and JSONDecodeError are ValueErrors.
UNFIT = (ValueError, TypeError, OverflowError, OSError, csv.Error)
LATENT_FORMATS: tuple[LatentFormat, ...] = get_args(LatentFormat)


@dataclass(frozen=True)
class Latents:
    """z_mean and z_log_var (N, *latent_shape) float32 and the N images' names."""

    names: tuple[str, ...]
    z_mean: Float32
    z_log_var: Float32


def write_latents(latents: Latents, path: Path) -> None:
    """Write in the format of the file's suffix, whole or not at all.

    Raises VAEError for another suffix.
    """
    kind = latent_format(path)
    with atomic_file(path) as temporary:
        temporary.write_bytes(latents_bytes(latents, kind))


def latents_bytes(latents: Latents, kind: LatentFormat) -> bytes:
    """The content of a latent file."""
    if kind == "csv":
        return _to_csv(latents).encode()
    if kind == "json":
        return _to_json(latents).encode()
    buffer = io.BytesIO()
    if kind == "npy":
        np.save(buffer, latents.z_mean)
    else:
        names = np.array(latents.names, np.str_)
        np.savez(buffer, z_mean=latents.z_mean, z_log_var=latents.z_log_var, name=names)
    return buffer.getvalue()


def read_latents(path: Path, latent_shape: int | tuple[int, ...]) -> Float32:
    """z_mean (N, *latent_shape) float32 of a latent file of any format.

    Flattened ones are taken too. Raises VAEError naming the file when it is missing, damaged, of
    another shape, or holds NaN.
    """
    shape = _as_tuple(latent_shape)
    kind = latent_format(path)
    if kind in TEXT_FORMATS and is_file(path) and path.stat().st_size > MAX_CSV_BYTES:
        raise VAEError(
            f"{path}: more than {MAX_CSV_BYTES} bytes of text; use .npy or .npz for as many latents"
        )
    try:
        if kind in ("npy", "npz"):
            row = math.prod(shape)
            stored = load_numpy(path, "z_mean", row=row, max_bytes=MAX_LATENT_BYTES)
            return _checked(stored, shape)
        if kind == "csv":
            with open_file(path, MAX_CSV_BYTES) as file:
                return _checked(_parse_csv(file), shape)
        return _checked(_parse_json(read_file(path, MAX_JSON_BYTES)), shape)
    except UNFIT as error:
        raise VAEError(f"{path}: not a latent file for this model: {error}") from None


def read_latents_bytes(content: bytes, latent_shape: int | tuple[int, ...]) -> Float32:
    """z_mean (N, *latent_shape) of the content of a latent file, whose format is found out.

    Raises VAEError for anything else.
    """
    shape = _as_tuple(latent_shape)
    try:
        if content.startswith(NUMPY_MAGICS):
            row = math.prod(shape)
            return _checked(load_numpy_bytes(content, "z_mean", row, MAX_LATENT_BYTES), shape)
        if content.removeprefix(BYTE_ORDER_MARK).lstrip().startswith(b"["):
            return _checked(_parse_json(content), shape)
        return _checked(_parse_csv(io.BytesIO(content)), shape)
    except UNFIT as error:
        raise VAEError(f"the input: not a latent file for this model: {error}") from None


def latent_format(path: Path) -> LatentFormat:
    """The format that the suffix names. Raises VAEError for another suffix."""
    suffix = path.suffix.lower().removeprefix(".")
    for kind in LATENT_FORMATS:
        if suffix == kind:
            return kind
    suffixes = ", ".join("." + kind for kind in LATENT_FORMATS)
    raise VAEError(f"{path}: latent files end in {suffixes}")


def _to_csv(latents: Latents) -> str:
    """CSV with 9 significant digits, which float32 survives."""
    count = len(latents.names)
    z_means = latents.z_mean.reshape(count, -1) if count else latents.z_mean
    z_log_vars = latents.z_log_var.reshape(count, -1) if count else latents.z_log_var
    dimensions = range(math.prod(latents.z_mean.shape[1:]))
    header = ["name"]
    header += [f"z_mean_{i}" for i in dimensions]
    header += [f"z_log_var_{i}" for i in dimensions]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for name, z_mean, z_log_var in zip(latents.names, z_means, z_log_vars, strict=True):
        numbers = [f"{value:.9g}" for value in (*z_mean, *z_log_var)]
        writer.writerow([name, *numbers])
    return text.getvalue()


def _to_json(latents: Latents) -> str:
    rows = []
    for name, z_mean, z_log_var in zip(
        latents.names, latents.z_mean, latents.z_log_var, strict=True
    ):
        rows.append({"name": name, "z_mean": z_mean.tolist(), "z_log_var": z_log_var.tolist()})
    return json.dumps(rows, indent=1) + "\n"


def _as_tuple(latent_shape: int | tuple[int, ...]) -> tuple[int, ...]:
    return latent_shape if isinstance(latent_shape, tuple) else (latent_shape,)


def _checked(rows: ArrayLike, shape: tuple[int, ...]) -> Float32:
    latents = np.asarray(rows)
    if latents.size > MAX_LATENT_NUMBERS:
        raise ValueError(f"{latents.size} numbers, more than {MAX_LATENT_NUMBERS}")
    return check_latents_of_shape(latents, shape).reshape(-1, *shape)


def _parse_csv(file: BinaryIO) -> Float64:
    """The columns z_mean_0, … of every row; numbers are kept as such, row by row."""
    rows = csv.reader(io.TextIOWrapper(file, "utf-8-sig", newline=""))
    header = next(rows, [])
    places = {}
    for i, column in enumerate(header):
        if column.startswith("z_mean_"):
            places[column] = i
    order = [places.get(f"z_mean_{i}") for i in range(len(places))]
    chosen = [place for place in order if place is not None]
    numbers = array("d")
    if not chosen or len(chosen) != len(order):
        raise ValueError(CSV_EXPECTED)
    for row in rows:
        if len(row) <= max(chosen):
            raise ValueError("a row is too short")
        numbers.extend([float(row[place]) for place in chosen])
    if not numbers:
        raise ValueError(CSV_EXPECTED)
    return np.array(numbers).reshape(-1, len(chosen))


def _parse_json(content: bytes) -> Sequence[Sequence[float]]:
    rows = parse_json(content)
    if not isinstance(rows, list):
        rows = [None]
    latents = []
    for row in rows:
        if not isinstance(row, dict) or "z_mean" not in row:
            raise ValueError('a list of {"z_mean": […]} was expected')
        latents.append(row["z_mean"])
    return latents
