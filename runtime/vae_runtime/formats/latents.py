"""Latent files: .npz, .csv, .json and .npy, written and read, never unpickled.

.npz has `z_mean`, `z_log_var` (N, D) float32 and `name` (N,); CSV the header
`name,z_mean_0,…,z_log_var_0,…`; JSON is a list of the same; .npy only z_mean.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from vae_runtime.arrays import Float32, check_latents
from vae_runtime.errors import VAEError
from vae_runtime.formats.files import atomic_file
from vae_runtime.formats.npy import load_numpy, load_numpy_bytes

LatentFormat = Literal["csv", "json", "npz", "npy"]
# What .npy and .npz files begin with.
NUMPY_MAGICS = (b"\x93NUMPY", b"PK")
LATENT_FORMATS: tuple[LatentFormat, ...] = get_args(LatentFormat)


@dataclass(frozen=True)
class Latents:
    """z_mean and z_log_var (N, D) float32 and the N images' names."""

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


def read_latents(path: Path, latent_dim: int) -> Float32:
    """z_mean (N, latent_dim) float32 of a latent file of any format.

    Raises VAEError naming the file when it is missing, damaged, of another width, or holds NaN.
    """
    kind = latent_format(path)
    if not path.is_file():
        raise VAEError(f"{path}: no such file")
    try:
        if kind in ("npy", "npz"):
            return check_latents(load_numpy(path, "z_mean"), latent_dim)
        text = path.read_text("utf-8-sig")
        rows = _parse_csv(text) if kind == "csv" else _parse_json(text)
        return check_latents(rows, latent_dim)
    except (ValueError, TypeError, KeyError, OSError, csv.Error, RecursionError) as error:
        raise VAEError(f"{path}: not a latent file for this model: {error}") from None


def read_latents_bytes(content: bytes, latent_dim: int) -> Float32:
    """z_mean (N, latent_dim) of the content of a latent file, whose format is found out.

    Raises VAEError for anything else.
    """
    try:
        if content.startswith(NUMPY_MAGICS):
            return check_latents(load_numpy_bytes(content, "z_mean"), latent_dim)
        text = content.decode("utf-8-sig")
        rows = _parse_json(text) if text.lstrip().startswith("[") else _parse_csv(text)
        return check_latents(rows, latent_dim)
    except (ValueError, TypeError, KeyError, csv.Error, RecursionError) as error:
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
    dimensions = range(latents.z_mean.shape[1])
    header = ["name"]
    header += [f"z_mean_{i}" for i in dimensions]
    header += [f"z_log_var_{i}" for i in dimensions]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for name, z_mean, z_log_var in zip(
        latents.names, latents.z_mean, latents.z_log_var, strict=True
    ):
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


def _parse_csv(text: str) -> Sequence[Sequence[float]]:
    rows = list(csv.DictReader(io.StringIO(text)))
    header = rows[0] if rows else {}
    found = {column for column in header if column and column.startswith("z_mean_")}
    columns = [f"z_mean_{i}" for i in range(len(found))]
    if not columns or found != set(columns):
        raise ValueError("the header name,z_mean_0,… and at least one row were expected")
    latents = []
    for row in rows:
        values = [row[column] for column in columns]
        if None in values:
            raise ValueError("a row is too short")
        latents.append([float(value) for value in values])
    return latents


def _parse_json(text: str) -> Sequence[Sequence[float]]:
    rows = json.loads(text)
    if not isinstance(rows, list):
        rows = [None]
    for row in rows:
        if not isinstance(row, dict) or "z_mean" not in row:
            raise ValueError('a list of {"z_mean": […]} was expected')
    return [row["z_mean"] for row in rows]
