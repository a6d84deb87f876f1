"""The model as a function on batches of rows, as Ray Data, Spark and Dask call it.

Imports none of them: a batch is a mapping from names of columns to arrays of N rows. Rows stay
where they are and so do the other columns. A row that can't be computed, such as a damaged image,
doesn't end the run: its numbers are NaN, its PNG is empty, and its `error` says why.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

import vae_runtime
from vae_runtime.arrays import Float32, check_latents
from vae_runtime.bundle import Fit
from vae_runtime.engine.precision import Precision
from vae_runtime.errors import VAEError
from vae_runtime.formats.png import png_bytes
from vae_runtime.formats.sheets import sheet
from vae_runtime.latent.posterior import Inference
from vae_runtime.latent.scores import Bound
from vae_runtime.vae import VAE

Column = np.ndarray
"""N values: numbers (N, …), texts, or an array of objects such as bytes."""
Batch = Mapping[str, Column]
BatchBundle = str | Path | bytes | None
ImageKind = Literal["array", "png"]
IMAGE_KINDS: tuple[ImageKind, ...] = get_args(ImageKind)
ERROR = "error"
# Models that one process keeps loaded.
MAX_MODELS = 8
# What a row may be refused with.
ROW_ERRORS = (VAEError, ValueError, TypeError)


@functools.lru_cache(MAX_MODELS)
def loaded(bundle: BatchBundle, provider: str, precision: Precision, threads: int | None) -> VAE:
    """This process's model: one, however many tasks, partitions and operations want it."""
    return vae_runtime.load(bundle, provider=provider, precision=precision, threads=threads)


@dataclass(frozen=True)
class Operation(ABC):
    """A function on batches, which pickles as its arguments; the model is loaded where it runs.

    `bundle` is a path, which each worker must have, or a bundle's bytes, as
    `vae_runtime.bundle.packing.packed` gives them; None is the embedded model. `threads` None takes
    what the engine grants: Ray, Spark and Dask set OMP_NUM_THREADS to a worker's CPUs. Raises
    ValueError for a batch without its column, and what `load` raises.
    """

    bundle: BatchBundle = field(default=None, repr=False)
    _: KW_ONLY
    column: str
    provider: str = "auto"
    precision: Precision = "fp32"
    threads: int | None = None

    @property
    def vae(self) -> VAE:
        return loaded(self.bundle, self.provider, self.precision, self.threads)

    def __call__(self, batch: Batch) -> dict[str, Column]:
        """The batch with its results beside the columns that it had. Rows with an `error` from an
        earlier operation keep it, and aren't computed.
        """
        if self.column not in batch:
            raise ValueError(f"the batch has no column {self.column!r}, it has {', '.join(batch)}")
        values = np.asarray(batch[self.column])
        errors = _errors_so_far(batch, len(values))
        good, inputs = self._inputs(values, errors)
        columns = dict(batch)
        for name, result in self._results(inputs).items():
            columns[name] = _spread(result, good, len(values))
        columns[ERROR] = np.array(errors, np.str_)
        return columns

    def _inputs(self, values: Column, errors: list[str]) -> tuple[list[int], Float32]:
        """Which rows can be computed, and their inputs; of the others `errors` tells why."""
        rows = [row for row, error in enumerate(errors) if not error]
        if values.dtype != object and len(rows) == len(values):
            try:
                inputs = self._checked(values)
            except ROW_ERRORS:
                # Some row is wrong: which one is found below.
                inputs = None
            # Two rows of small images may be taken for the two channels of one.
            if inputs is not None and len(inputs) == len(rows):
                return rows, inputs
        good = []
        found = [np.empty((0, *self._input_shape), np.float32)]
        for row in rows:
            try:
                found.append(self._one(values[row]))
                good.append(row)
            except ROW_ERRORS as error:
                errors[row] = str(error)
        return good, np.concatenate(found)

    def _one(self, value: Any) -> Float32:
        """The input (1, …) of one row."""
        checked = self._checked(_plain(value)[None])
        if len(checked) != 1:
            raise ValueError(f"a row holds {len(checked)} of them")
        return checked

    @property
    @abstractmethod
    def _input_shape(self) -> tuple[int, ...]:
        """The shape of one row's input."""

    @abstractmethod
    def _checked(self, values: Column) -> Float32:
        """Numbers (N, …) as inputs. Raises one of ROW_ERRORS for others."""

    @abstractmethod
    def _results(self, inputs: Float32) -> dict[str, Column]:
        """The new columns, (N, …) each."""


@dataclass(frozen=True, kw_only=True)
class ImageOperation(Operation):
    """An operation on a column of images: the bytes of image files, alone or as `bytes` of a
    record, as Hugging Face stores them; or arrays, as `VAE.read` takes them.
    """

    column: str = "image"
    fit: Fit | None = None
    invert: bool | None = None

    @property
    def _input_shape(self) -> tuple[int, ...]:
        return self.vae.image_shape

    def _checked(self, values: Column) -> Float32:
        return self.vae.read(values)

    def _one(self, value: Any) -> Float32:
        content = value.get("bytes") if isinstance(value, Mapping) else value
        if isinstance(content, bytes | bytearray | memoryview):
            return self.vae.read(bytes(content), fit=self.fit, invert=self.invert)
        return super()._one(content)


@dataclass(frozen=True, kw_only=True)
class Encode(ImageOperation):
    """Adds `z_mean` and `z_log_var`, each (N, *latent_shape) float32. See `VAE.encode`."""

    inference: Inference = "encoder"

    def _results(self, inputs: Float32) -> dict[str, Column]:
        z_mean, z_log_var = self.vae.encode(inputs, inference=self.inference)
        return {"z_mean": z_mean, "z_log_var": z_log_var}


@dataclass(frozen=True, kw_only=True)
class Score(ImageOperation):
    """Adds `score` (N,) float64, in nats. See `VAE.score`."""

    samples: int = 1
    seed: int = 0
    bound: Bound | None = None
    relative: bool = False

    def _results(self, inputs: Float32) -> dict[str, Column]:
        scores = self.vae.score(
            inputs,
            samples=self.samples,
            seed=self.seed,
            bound=self.bound,
            relative=self.relative,
        )
        return {"score": scores}


@dataclass(frozen=True, kw_only=True)
class Reconstruct(ImageOperation):
    """Adds `reconstruction`: (N, C, H, W) float32 in [0, 1], or PNG files.

    See `VAE.reconstruct`.
    """

    inference: Inference = "encoder"
    images: ImageKind = "array"

    def _results(self, inputs: Float32) -> dict[str, Column]:
        decoded = self.vae.reconstruct(inputs, inference=self.inference)
        return {"reconstruction": _as_kind(decoded, self.images)}


@dataclass(frozen=True, kw_only=True)
class Decode(Operation):
    """Adds `decoded`, the images of a column of latents: (N, C, H, W) float32 in [0, 1], or PNG
    files. See `VAE.decode`.
    """

    column: str = "z_mean"
    images: ImageKind = "array"

    @property
    def _input_shape(self) -> tuple[int, ...]:
        return (self.vae.latent_dim,)

    def _checked(self, values: Column) -> Float32:
        return check_latents(values.reshape(len(values), -1), self.vae.latent_dim)

    def _results(self, inputs: Float32) -> dict[str, Column]:
        return {"decoded": _as_kind(self.vae.decode(inputs), self.images)}


def _errors_so_far(batch: Batch, count: int) -> list[str]:
    if ERROR not in batch:
        return [""] * count
    # A table of another program may have null for no error.
    return ["" if error is None else str(error) for error in batch[ERROR]]


def _plain(value: Any) -> np.ndarray:
    """A row's numbers as one array: tables give rows of rows as arrays of arrays."""
    if isinstance(value, np.ndarray) and value.dtype != object:
        return value
    if value is None or isinstance(value, str):
        raise TypeError(f"neither the bytes of a file nor an array, but {type(value).__name__}")
    return np.array([_plain(item) if np.ndim(item) else item for item in value])


def _spread(result: Column, good: list[int], count: int) -> Column:
    """The results of the good rows among `count`, of which the others have none."""
    if len(good) == count:
        return result
    filler: Any = b"" if result.dtype.kind in "OS" else np.nan
    everywhere = np.full((count, *result.shape[1:]), filler, result.dtype)
    everywhere[good] = result
    return everywhere


def _as_kind(images: Float32, kind: ImageKind) -> Column:
    """Images (N, C, H, W) as they are, or as N PNG files."""
    if kind not in IMAGE_KINDS:
        raise ValueError(f"images {kind!r} is not one of {', '.join(IMAGE_KINDS)}")
    if kind == "array":
        return images
    if not len(images):
        # So that engines which guess the type of an empty column take it for bytes.
        return np.empty(0, np.bytes_)
    files = np.empty(len(images), object)
    for row, image in enumerate(images):
        files[row] = png_bytes(sheet(image[None]))
    return files
