"""`bundle.json`: from records to JSON and back, every field checked.

docs/bundle.md lists the keys.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, cast

from vae_runtime.bundle.ranges import (
    GRAPH_PRECISIONS,
    MAX_BATCH,
    MAX_COUNT,
    MAX_GAIN,
    MAX_LABELS,
    MAX_LATENT,
    MAX_LATENT_DIM,
    MAX_LOG_VAR,
    MAX_MAGNITUDE,
    MAX_NUMBERS,
    MAX_PROVIDERS,
    MAX_SIDE,
    MAX_VARIANTS,
    SHA256,
    require_covariance,
    require_facts,
    require_mixture,
    require_name,
    require_shares,
    require_variances,
    require_within,
    shown,
)
from vae_runtime.bundle.records import (
    ELBO_BUDGET,
    Bundle,
    Component,
    Covariance,
    GraphFile,
    Label,
    Likelihood,
    Preprocess,
    Variant,
)
from vae_runtime.bundle.storage import is_plain_name
from vae_runtime.door import MAX_GRAPH_BYTES, parse_json

# Schema 2 has conditions of variants, diagonal covariances and spatial latents, of one size or of
# any; what needs none of them is still written as schema 1.
SCHEMA = 2
FIRST_SCHEMA = 1
# The covariances of more latents fill megabytes when each number has its own line.
MAX_INDENTED_LATENT_DIM = 16

Object = dict[str, Any]


def to_json(bundle: Bundle) -> str:
    """The text of `bundle.json`."""
    values = asdict(bundle)
    values["latent_shape"] = bundle.latent_shape or (bundle.latent_dim,)
    if not bundle.dynamic_size:
        # Most bundles have one size.
        del values["dynamic_size"]
    for variant in values["variants"]:
        if variant["batch"] is None:
            del variant["batch"]
        if not variant["gains"]:
            # int8 alone has any.
            del variant["gains"]
    if not bundle.likelihood.log_var:
        del values["likelihood"]["log_var"]
    for name, label in bundle.labels.items():
        if _is_diagonal(label.cov) and len(label.components) == 1:
            # The label's own Gaussian isn't said twice.
            del values["labels"][name]["components"]
    portable = next((v for v in bundle.variants if v.is_portable), bundle.variants[0])
    values["score_quantiles"] = dict(portable.score_quantiles)
    indent = 1 if bundle.latent_dim <= MAX_INDENTED_LATENT_DIM else None
    return json.dumps({"schema": _schema(bundle), **values}, indent=indent, allow_nan=False) + "\n"


def from_json(content: str | bytes) -> Bundle:
    """The records in the content of a `bundle.json`.

    Raises json.JSONDecodeError or UnicodeDecodeError for what is no JSON, and ValueError with the
    path of the field for anything that isn't as docs/bundle.md has it.
    """
    text = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    values = parse_json(text)
    schema = _field(values, "schema", int)
    if not FIRST_SCHEMA <= schema <= SCHEMA:
        raise ValueError(
            f"schema {schema} is not supported (this version reads {FIRST_SCHEMA} to {SCHEMA}); "
            "upgrade vae-edge"
        )
    shape = tuple(_list(values, "image_shape", int))
    latent_dim = _field(values, "latent_dim", int)
    if len(shape) != 3 or min(shape) < 1 or latent_dim < 1:
        raise ValueError("image_shape must be three positive numbers and latent_dim positive")
    for size in shape:
        require_within(size, 1, MAX_SIDE, "image_shape")
    require_within(math.prod(shape), 1, MAX_NUMBERS, "image_shape")
    require_within(latent_dim, 1, MAX_LATENT_DIM, "latent_dim")
    latent_shape = _latent_shape(values, latent_dim)
    return Bundle(
        latent_dim=latent_dim,
        image_shape=cast(tuple[int, int, int], shape),
        variants=_variants(values),
        likelihood=_likelihood(_field(values, "likelihood", dict), channels=shape[0]),
        preprocess=_preprocess(_field(values, "preprocess", dict, {})),
        labels=_labels(_field(values, "labels", dict, {}), latent_dim),
        density=_density(values, latent_dim),
        training=require_facts(_field(values, "training", dict, {}), "training"),
        producer=require_facts(_field(values, "producer", dict, {}), "producer"),
        latent_shape=latent_shape,
        dynamic_size=_dynamic_size(values, shape, latent_shape),
    )


def _latent_shape(values: Object, latent_dim: int) -> tuple[int, ...]:
    """Empty where latents are vectors."""
    shape = tuple(_list(values, "latent_shape", int, []))
    if shape in ((), (latent_dim,)):
        return ()
    if len(shape) != 3 or min(shape) < 1 or math.prod(shape) != latent_dim:
        raise ValueError(
            f"'latent_shape' {list(shape)} does not hold latent_dim {latent_dim} numbers"
        )
    return shape


def _dynamic_size(values: Object, image_shape: tuple[int, ...], latent_shape: Any) -> bool:
    """Whether it takes other sizes; then each pixel of the latents is as many of the image."""
    is_dynamic: bool = _field(values, "dynamic_size", bool, False)
    if is_dynamic and len(latent_shape) != 3:
        raise ValueError("'dynamic_size' needs a 'latent_shape' of three numbers")
    if is_dynamic and any(
        size % latent for size, latent in zip(image_shape[1:], latent_shape[1:], strict=True)
    ):
        raise ValueError("'dynamic_size' needs an 'image_shape' that 'latent_shape' divides")
    return is_dynamic


def _schema(bundle: Bundle) -> int:
    """The first schema that has all that the bundle says."""
    has_conditions = any(variant.requires for variant in bundle.variants)
    has_diagonals = any(_is_diagonal(label.cov) for label in bundle.labels.values())
    is_new = has_conditions or has_diagonals or bundle.has_spatial_latents
    return SCHEMA if is_new else FIRST_SCHEMA


def _variants(values: Object) -> tuple[Variant, ...]:
    # A variant without quantiles of its own has those of the whole bundle.
    quantiles = require_shares(_numbers(values.get("score_quantiles", {}), "score_quantiles"))
    variants = [
        _variant(item, f"variants[{i}]", quantiles)
        for i, item in enumerate(_list(values, "variants", dict))
    ]
    if not variants:
        raise ValueError("'variants' is empty")
    require_within(len(variants), 1, MAX_VARIANTS, "variants")
    return tuple(variants)


def _variant(values: Object, path: str, quantiles: Mapping[str, float]) -> Variant:
    elbo_change = values.get("elbo_change")
    if elbo_change is not None:
        elbo_change = _finite(elbo_change, f"{path}.elbo_change")
    own_quantiles = require_shares(
        _numbers(values.get("score_quantiles", {}), f"{path}.score_quantiles")
    )
    precision = _field(values, "precision", str, path=path)
    if precision not in GRAPH_PRECISIONS:
        raise ValueError(f"'{path}.precision' {precision!r} is neither fp32 nor int8")
    providers = _list(values, "providers", str, path=path)
    require_within(len(providers), 1, MAX_PROVIDERS, f"{path}.providers")
    for provider in providers:
        require_name(provider, f"{path}.providers")
    return Variant(
        name=require_name(_field(values, "name", str, path=path), f"{path}.name"),
        precision=precision,
        providers=tuple(providers),
        encoder=_graph(_field(values, "encoder", dict, path=path), f"{path}.encoder"),
        decoder=_graph(_field(values, "decoder", dict, path=path), f"{path}.decoder"),
        parity=require_facts(_field(values, "parity", dict, {}, path=path), f"{path}.parity"),
        requires=tuple(_list(values, "requires", str, [], path=path)),
        gains=_gains(values.get("gains", {}), f"{path}.gains"),
        elbo_change=elbo_change,
        elbo_budget=_finite(values.get("elbo_budget", ELBO_BUDGET), f"{path}.elbo_budget"),
        score_quantiles=own_quantiles or quantiles,
        relative_quantiles=_numbers(
            values.get("relative_quantiles", {}), f"{path}.relative_quantiles"
        ),
        batch=_batch(values, path),
    )


def _gains(values: object, path: str) -> dict[str, float]:
    gains = _numbers(values, path)
    for condition, gain in gains.items():
        require_within(gain, 1, MAX_GAIN, f"{path}.{condition}")
    return gains


def _batch(values: Object, path: str) -> int | None:
    """The batch of graphs that take no other, else None."""
    if values.get("batch") is None:
        return None
    batch: int = _field(values, "batch", int, path=path)
    require_within(batch, 1, MAX_BATCH, f"{path}.batch")
    if values.get("requires") != ["by_name"]:
        raise ValueError(f"'{path}.requires' is not by_name alone, as a fixed batch needs")
    return batch


def _graph(values: Object, path: str) -> GraphFile:
    graph = GraphFile(
        file=_field(values, "file", str, path=path),
        sha256=_field(values, "sha256", str, path=path),
        bytes=_field(values, "bytes", int, path=path),
    )
    if not is_plain_name(graph.file):
        raise ValueError(
            f"the file name {graph.file!r} is not a plain name; a bundle's files lie inside it"
        )
    if not SHA256.fullmatch(graph.sha256):
        raise ValueError(f"'{path}.sha256' is not 64 hexadecimal digits in lower case")
    require_within(graph.bytes, 0, MAX_GRAPH_BYTES, f"{path}.bytes")
    return graph


def _labels(values: Object, latent_dim: int) -> dict[str, Label]:
    require_within(len(values), 0, MAX_LABELS, "labels")
    labels = {}
    for name, value in values.items():
        path = f"labels.{require_name(name, 'labels')}"
        labels[name] = _label(_object(value, path), path, latent_dim)
    if labels and not any(label.count for label in labels.values()):
        raise ValueError("'labels' have no images")
    return labels


def _label(values: Object, path: str, latent_dim: int) -> Label:
    mean = _place(values.get("mean"), f"{path}.mean", latent_dim)
    cov = _covariance(values.get("cov"), f"{path}.cov", latent_dim)
    items = _list(values, "components", dict, [], path=path)
    # A mixture of nothing can be neither drawn from nor compared.
    components = _mixture(items, f"{path}.components", latent_dim) or (Component(1.0, mean, cov),)
    if any(_is_diagonal(component.cov) != _is_diagonal(cov) for component in components):
        raise ValueError(f"{path!r} mixes full and diagonal covariances")
    require_mixture([component.weight for component in components], f"{path}.components")
    count = _field(values, "count", int, path=path)
    require_within(count, 0, MAX_COUNT, f"{path}.count")
    return Label(
        count=count,
        mean=mean,
        cov=cov,
        components=components,
    )


def _density(values: Object, latent_dim: int) -> tuple[Component, ...]:
    density = _mixture(_list(values, "density", dict, []), "density", latent_dim)
    if density:
        require_mixture([component.weight for component in density], "density")
    return density


def _mixture(items: list[Object], path: str, latent_dim: int) -> tuple[Component, ...]:
    components = [_component(item, f"{path}[{i}]", latent_dim) for i, item in enumerate(items)]
    if len({_is_diagonal(component.cov) for component in components}) > 1:
        raise ValueError(f"{path!r} mixes full and diagonal covariances")
    return tuple(components)


def _component(values: Object, path: str, latent_dim: int) -> Component:
    return Component(
        weight=_finite(values.get("weight"), f"{path}.weight"),
        mean=_place(values.get("mean"), f"{path}.mean", latent_dim),
        cov=_covariance(values.get("cov"), f"{path}.cov", latent_dim),
    )


def _likelihood(values: Object, channels: int) -> Likelihood:
    name = _field(values, "name", str, path="likelihood")
    if name == "gaussian":
        log_var = _vector(values.get("log_var"), "likelihood.log_var", channels)
        for value in log_var:
            require_within(value, -MAX_LOG_VAR, MAX_LOG_VAR, "likelihood.log_var")
        return Likelihood(name, log_var)
    return Likelihood(name)


def _preprocess(values: Object) -> Preprocess:
    return Preprocess(
        fit=_field(values, "fit", str, "contain", path="preprocess"),
        invert=_field(values, "invert", bool, False, path="preprocess"),
    )


def _object(value: Any, path: str) -> Object:
    if not isinstance(value, dict):
        raise ValueError(f"{path!r} is not an object")
    return value


def _field(values: Any, key: str, kind: type, default: Any = None, *, path: str = "") -> Any:
    """`values[key]`, which must be of type `kind`; `path` says where `values` stands."""
    if not isinstance(values, dict):
        raise ValueError(f"an object with {key!r} was expected")
    value = values.get(key, default)
    # In Python a bool is an int; in JSON it is not.
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"{_joined(path, key)!r} is missing or not of type {kind.__name__}")
    return value


def _list(values: Any, key: str, kind: type, default: Any = None, *, path: str = "") -> list[Any]:
    items: list[Any] = _field(values, key, list, default, path=path)
    for item in items:
        if not isinstance(item, kind) or isinstance(item, bool):
            raise ValueError(f"{_joined(path, key)!r} is not a list of {kind.__name__}")
    return items


def _numbers(values: Any, path: str) -> dict[str, float]:
    return {name: _finite(value, path) for name, value in _object(values, path).items()}


def _vector(values: Any, path: str, size: int) -> tuple[float, ...]:
    if not isinstance(values, list) or len(values) != size:
        raise ValueError(f"{path!r} is not a list of {size} numbers")
    return tuple(_finite(value, path) for value in values)


def _covariance(values: Any, path: str, size: int) -> Covariance:
    """A matrix, or the vector of a diagonal one, whose variances are positive."""
    if isinstance(values, list) and values and isinstance(values[0], list):
        return require_covariance(_matrix(values, path, size), path)
    diagonal = _vector(values, path, size)
    require_variances(diagonal, path)
    return diagonal


def _is_diagonal(cov: Covariance) -> bool:
    return not isinstance(cov[0], tuple)


def _place(values: Any, path: str, latent_dim: int) -> tuple[float, ...]:
    """A point in latent space."""
    place = _vector(values, path, latent_dim)
    for value in place:
        require_within(value, -MAX_LATENT, MAX_LATENT, path)
    return place


def _matrix(values: Any, path: str, size: int) -> tuple[tuple[float, ...], ...]:
    if not isinstance(values, list) or len(values) != size:
        raise ValueError(f"{path!r} is not a {size}×{size} matrix")
    return tuple(_vector(row, path, size) for row in values)


def _finite(value: Any, path: str) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    # Whole numbers may be longer than any float; what is compared is their value.
    if not is_number or not -MAX_MAGNITUDE <= value <= MAX_MAGNITUDE:
        raise ValueError(f"{path!r} holds {shown(value)} where a finite number was expected")
    return float(value)


def _joined(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
