"""The bundle: the folder that the exporter writes and the runtime reads, and its `bundle.json`.

A reader trusts nothing: every field is checked when the bundle is opened, every graph's hash when it is used.
Imports neither numpy nor onnxruntime.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from vae_runtime.errors import BundleError

SCHEMA = 1
MANIFEST = "bundle.json"
CHECK_FILE = "check.npz"
FITS = ("contain", "stretch", "crop", "mnist")
LEGIBLE = 16  # latent dimensions; the matrices of more fill megabytes when each number has its own line
LIKELIHOODS = ("bernoulli", "gaussian")


@dataclass(frozen=True)
class GraphFile:
    """One ONNX file of a bundle: its name (no path), SHA-256 and size in bytes."""

    file: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class Variant:
    """Encoder and decoder as one precision, for the execution providers named ("*": any).

    `elbo_change` is in nats per image against fp32 on held-out images, None where none were at hand;
    `score_quantiles` maps "0.01" to the score that one held-out image in a hundred stays below.
    """

    name: str
    precision: str
    providers: tuple[str, ...]
    encoder: GraphFile
    decoder: GraphFile
    parity: Mapping[str, Any] = field(default_factory=dict)
    elbo_change: float | None = None
    score_quantiles: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Component:
    """One Gaussian of a label's mixture: weight, mean (D,), covariance (D, D)."""

    weight: float
    mean: tuple[float, ...]
    cov: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Label:
    """What the training images of one label look like in latent space; `cov` includes the posterior variance."""

    count: int
    mean: tuple[float, ...]
    cov: tuple[tuple[float, ...], ...]
    components: tuple[Component, ...]


@dataclass(frozen=True)
class Likelihood:
    """p(x | z): "bernoulli", or "gaussian" with the log variance of each channel."""

    name: str = "bernoulli"
    log_var: tuple[float, ...] = ()


@dataclass(frozen=True)
class Preprocess:
    """How an image of any size becomes the encoder's input; see `vae_runtime.images`."""

    fit: str = "contain"
    invert: bool = False


@dataclass(frozen=True)
class Bundle:
    """A verified `bundle.json`; image_shape is (C, H, W)."""

    latent_dim: int
    image_shape: tuple[int, int, int]
    variants: tuple[Variant, ...]
    likelihood: Likelihood = Likelihood()
    preprocess: Preprocess = Preprocess()
    labels: Mapping[str, Label] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    producer: Mapping[str, str] = field(default_factory=dict)

    @property
    def precisions(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(variant.precision for variant in self.variants))

    def variant(self, precision: str, provider: str) -> Variant:
        """The variant made for `provider` (onnxruntime's name), else the portable one.

        Raises BundleError when the bundle has no graph of that precision for that provider.
        """
        fitting = [v for v in self.variants if v.precision == precision and {provider, "*"} & set(v.providers)]
        if not fitting:
            raise BundleError(
                f"this bundle has no {precision} graphs for {provider}; it has "
                + ", ".join(f"{v.precision} for {' '.join(v.providers)}" for v in self.variants)
            )
        return next((v for v in fitting if provider in v.providers), fitting[0])

    def to_json(self) -> str:
        """The text of `bundle.json`."""
        values = asdict(self)
        if not self.likelihood.log_var:
            del values["likelihood"]["log_var"]
        portable = next((v for v in self.variants if "*" in v.providers), self.variants[0])
        values["score_quantiles"] = dict(portable.score_quantiles)
        indent = 1 if self.latent_dim <= LEGIBLE else None
        return json.dumps({"schema": SCHEMA, **values}, indent=indent, allow_nan=False) + "\n"


def is_bundle(path: Path) -> bool:
    """Whether a folder looks like a bundle, damaged or not: the only thing that an export may replace."""
    try:
        return "schema" in json.loads((path / MANIFEST).read_text("utf-8"))
    except (OSError, ValueError, TypeError):
        return False


def read_bundle(path: str | Path) -> Bundle:
    """Open and verify the folder at `path`: every field of its manifest, every file's presence and size.

    Raises BundleError naming the file and what is wrong with it.
    """
    folder = Path(path)
    manifest = folder / MANIFEST
    if not folder.exists():
        raise BundleError(f"{folder}: no such bundle")
    if not manifest.is_file():
        raise BundleError(f"{folder}: not a bundle: a folder with a {MANIFEST} in it")
    try:
        values = json.loads(manifest.read_text("utf-8"))
        bundle = _parse(values)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BundleError(f"{manifest}: damaged, it is no JSON: {error}; export or copy the bundle again") from error
    except (OSError, ValueError) as error:
        raise BundleError(f"{manifest}: {error}") from error
    for graph in {g for v in bundle.variants for g in (v.encoder, v.decoder)}:
        _check_size(folder / graph.file, graph)
    return bundle


def read_graph(folder: Path, graph: GraphFile) -> bytes:
    """The bytes of a graph, hashed; hand these very bytes to onnxruntime. Raises BundleError on a mismatch."""
    path = folder / graph.file
    _check_size(path, graph)
    content = path.read_bytes()
    if _sha256(content) != graph.sha256:
        raise BundleError(f"{path}: damaged: its SHA-256 is not the one in {MANIFEST}; export or copy it again")
    return content


def graph_file(name: str, content: bytes) -> GraphFile:
    """Describe a graph about to be written as `name`."""
    return GraphFile(name, _sha256(content), len(content))


def _sha256(content: bytes) -> str:
    """In hexadecimal, by CPython's own code where there is any: hashlib loads OpenSSL, 3 MiB for one hash."""
    for name in ("_sha2", "_sha256"):  # from Python 3.12 on; up to 3.11
        try:
            return str(import_module(name).sha256(content).hexdigest())
        except ImportError:
            continue
    import hashlib

    return hashlib.sha256(content).hexdigest()


def _check_size(path: Path, graph: GraphFile) -> None:
    if not path.is_file():
        raise BundleError(f"{path}: missing from the bundle")
    if path.stat().st_size != graph.bytes:
        raise BundleError(f"{path}: damaged: {path.stat().st_size} bytes where {MANIFEST} promises {graph.bytes}")


def _parse(values: Any) -> Bundle:
    """ValueError with the field's name for anything that isn't as the contract has it."""
    schema = _of(values, "schema", int)
    if schema != SCHEMA:
        raise ValueError(f"schema {schema} is not supported (this version reads {SCHEMA}); upgrade vae-edge")
    shape = tuple(_list(values, "image_shape", int))
    latent_dim = _of(values, "latent_dim", int)
    if len(shape) != 3 or min(shape) < 1 or latent_dim < 1:
        raise ValueError("image_shape must be three positive numbers and latent_dim positive")
    likelihood = _likelihood(_of(values, "likelihood", dict), channels=shape[0])
    quantiles = _numbers(values.get("score_quantiles", {}), "score_quantiles")
    variants = tuple(_variant(item, quantiles) for item in _list(values, "variants", dict))
    if not variants:
        raise ValueError("'variants' is empty")
    labels = {str(k): _label(v, latent_dim) for k, v in _of(values, "labels", dict, {}).items()}
    return Bundle(
        latent_dim,
        cast(tuple[int, int, int], shape),
        variants,
        likelihood,
        _preprocess(_of(values, "preprocess", dict, {})),
        labels,
        _of(values, "training", dict, {}),
        _of(values, "producer", dict, {}),
    )


def _variant(values: dict[str, Any], quantiles: Mapping[str, float]) -> Variant:
    change = values.get("elbo_change")
    own = _numbers(values.get("score_quantiles", {}), "score_quantiles")
    return Variant(
        _of(values, "name", str),
        _of(values, "precision", str),
        tuple(_list(values, "providers", str)),
        _graph(_of(values, "encoder", dict)),
        _graph(_of(values, "decoder", dict)),
        _of(values, "parity", dict, {}),
        None if change is None else _finite(change, "elbo_change"),
        own or quantiles,
    )


def _graph(values: dict[str, Any]) -> GraphFile:
    graph = GraphFile(_of(values, "file", str), _of(values, "sha256", str), _of(values, "bytes", int))
    if graph.file in ("", ".", "..") or set(graph.file) & set("/\\:\0"):
        raise ValueError(f"the file name {graph.file!r} is not a plain name; a bundle's files lie inside it")
    return graph


def _label(values: Any, dim: int) -> Label:
    components = tuple(
        Component(_finite(c.get("weight"), "weight"), _vector(c.get("mean"), dim), _matrix(c.get("cov"), dim))
        for c in _list(values, "components", dict)
    )
    count = _of(values, "count", int)
    return Label(count, _vector(values.get("mean"), dim), _matrix(values.get("cov"), dim), components)


def _likelihood(values: dict[str, Any], channels: int) -> Likelihood:
    name = _of(values, "name", str)
    if name not in LIKELIHOODS:
        raise ValueError(f"the likelihood {name!r} is not one of {', '.join(LIKELIHOODS)}")
    return Likelihood(name, _vector(values.get("log_var"), channels) if name == "gaussian" else ())


def _preprocess(values: dict[str, Any]) -> Preprocess:
    preprocess = Preprocess(_of(values, "fit", str, "contain"), _of(values, "invert", bool, False))
    if preprocess.fit not in FITS:
        raise ValueError(f"the fit {preprocess.fit!r} is not one of {', '.join(FITS)}")
    return preprocess


def _of(values: Any, key: str, kind: type, default: Any = None) -> Any:
    if not isinstance(values, dict):
        raise ValueError(f"an object with {key!r} was expected")
    value = values.get(key, default)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"{key!r} is missing or not of type {kind.__name__}")
    return value


def _list(values: Any, key: str, kind: type) -> list[Any]:
    items: list[Any] = _of(values, key, list)
    if not all(isinstance(item, kind) and not isinstance(item, bool) for item in items):
        raise ValueError(f"{key!r} is not a list of {kind.__name__}")
    return items


def _numbers(values: Any, key: str) -> dict[str, float]:
    if not isinstance(values, dict):
        raise ValueError(f"{key!r} is not an object")
    return {str(name): _finite(value, key) for name, value in values.items()}


def _vector(values: Any, dim: int) -> tuple[float, ...]:
    if not isinstance(values, list) or len(values) != dim:
        raise ValueError(f"a list of {dim} numbers was expected in 'labels' or 'likelihood'")
    return tuple(_finite(value, "labels") for value in values)


def _matrix(values: Any, dim: int) -> tuple[tuple[float, ...], ...]:
    if not isinstance(values, list) or len(values) != dim:
        raise ValueError(f"a {dim}×{dim} matrix was expected in 'labels'")
    return tuple(_vector(row, dim) for row in values)


def _finite(value: Any, key: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{key!r} holds {value!r} where a finite number was expected")
    return float(value)
