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

import numpy as np
from numpy.typing import NDArray

from vae_runtime.arrays import check_latents as check_latents
from vae_runtime.arrays import load_numpy
from vae_runtime.errors import VAEError
from vae_runtime.files import atomic_file

FORMATS = ("csv", "json", "npz", "npy")


@dataclass(frozen=True)
class Latents:
    """z_mean and z_log_var (N, D) float32 and the N images' names."""

    names: tuple[str, ...]
    z_mean: NDArray[np.float32]
    z_log_var: NDArray[np.float32]


def write_latents(latents: Latents, path: Path) -> None:
    """Write in the format of the file's suffix, whole or not at all. Raises VAEError for another suffix."""
    kind = _format(path)
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        file.write(latents_bytes(latents, kind))


def latents_bytes(latents: Latents, kind: str) -> bytes:
    """The content of a latent file of `kind` (one of FORMATS)."""
    if kind in ("csv", "json"):
        return (to_csv(latents) if kind == "csv" else _to_json(latents)).encode()
    buffer = io.BytesIO()
    if kind == "npy":
        np.save(buffer, latents.z_mean)
    else:
        np.savez(buffer, z_mean=latents.z_mean, z_log_var=latents.z_log_var, name=np.array(latents.names, np.str_))
    return buffer.getvalue()


def to_csv(latents: Latents) -> str:
    """CSV with 9 significant digits, which float32 survives."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    dim = latents.z_mean.shape[1]
    writer.writerow(["name", *(f"{part}_{i}" for part in ("z_mean", "z_log_var") for i in range(dim))])
    for name, mean, log_var in zip(latents.names, latents.z_mean, latents.z_log_var, strict=True):
        writer.writerow([name, *(f"{value:.9g}" for value in (*mean, *log_var))])
    return text.getvalue()


def read_latents(path: Path, latent_dim: int) -> NDArray[np.float32]:
    """z_mean (N, latent_dim) float32 of a latent file of any format.

    Raises VAEError naming the file when it is missing, damaged, of another width, or holds NaN.
    """
    kind = _format(path)
    if not path.is_file():
        raise VAEError(f"{path}: no such file")
    try:
        if kind in ("npy", "npz"):
            return check_latents(load_numpy(path, "z_mean"), latent_dim)
        text = path.read_text("utf-8-sig")
        return check_latents(_parse_csv(text) if kind == "csv" else _parse_json(text), latent_dim)
    except (ValueError, TypeError, KeyError, OSError, csv.Error, RecursionError) as error:
        raise VAEError(f"{path}: not a latent file for this model: {error}") from None


def _to_json(latents: Latents) -> str:
    rows = [
        {"name": name, "z_mean": [float(v) for v in mean], "z_log_var": [float(v) for v in log_var]}
        for name, mean, log_var in zip(latents.names, latents.z_mean, latents.z_log_var, strict=True)
    ]
    return json.dumps(rows, indent=1) + "\n"


def _parse_csv(text: str) -> Sequence[Sequence[float]]:
    rows = list(csv.DictReader(io.StringIO(text)))
    found = {c for c in (rows[0] if rows else {}) if c and c.startswith("z_mean_")}
    columns = [f"z_mean_{i}" for i in range(len(found))]
    if not columns or found != set(columns):
        raise ValueError("the header name,z_mean_0,… and at least one row were expected")
    if any(row[column] is None for row in rows for column in columns):
        raise ValueError("a row is too short")
    return [[float(row[column]) for column in columns] for row in rows]


def _parse_json(text: str) -> Sequence[Sequence[float]]:
    rows = json.loads(text)
    if not isinstance(rows, list) or not all(isinstance(row, dict) and "z_mean" in row for row in rows):
        raise ValueError('a list of {"z_mean": […]} was expected')
    return [row["z_mean"] for row in rows]


def _format(path: Path) -> str:
    kind = path.suffix.lower().removeprefix(".")
    if kind not in FORMATS:
        raise VAEError(f"{path}: latent files end in {', '.join('.' + k for k in FORMATS)}")
    return kind
