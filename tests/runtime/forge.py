"""ONNX files written by hand, right and wrong ones, without onnx."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Field = tuple[int, object]
Attribute = int | float | str | list[int] | bytes


def varint(number: int) -> bytes:
    number %= 1 << 64
    result = bytearray()
    while number >= 0x80:
        result.append(number & 0x7F | 0x80)
        number >>= 7
    result.append(number)
    return bytes(result)


def message(*fields: Field) -> bytes:
    """Fields as (number, value): int, float, str, or the bytes of a message."""
    parts = []
    for number, value in fields:
        if isinstance(value, int):
            parts.append(varint(number << 3) + varint(value))
        elif isinstance(value, float):
            parts.append(varint(number << 3 | 5) + struct.pack("<f", value))
        else:
            content = value.encode() if isinstance(value, str) else bytes(value)  # type: ignore[call-overload]
            parts.append(varint(number << 3 | 2) + varint(len(content)) + content)
    return b"".join(parts)


def tensor(name: str, values: object, dtype: type = np.float32) -> bytes:
    array: NDArray[Any] = np.asarray(values, dtype)
    kinds = {np.float32: 1, np.int64: 7, np.int32: 6, np.uint8: 2, np.bool_: 9}
    fields: list[Field] = [(1, size) for size in array.shape]
    return message(*fields, (2, kinds[dtype]), (8, name), (9, array.tobytes()))


def attribute(name: str, value: Attribute) -> bytes:
    if isinstance(value, int):
        return message((1, name), (3, value), (20, 2))
    if isinstance(value, float):
        return message((1, name), (2, value), (20, 1))
    if isinstance(value, str):
        return message((1, name), (4, value), (20, 3))
    if isinstance(value, list):
        return message((1, name), *[(8, item) for item in value], (20, 7))
    return message((1, name), (5, value), (20, 4))


def node(
    operator: str,
    inputs: Sequence[str],
    outputs: Sequence[str],
    domain: str = "",
    more: Sequence[Field] = (),
    **attributes: Attribute,
) -> bytes:
    fields: list[Field] = [(1, name) for name in inputs]
    fields += [(2, name) for name in outputs]
    fields.append((4, operator))
    fields += [(5, attribute(name, value)) for name, value in attributes.items()]
    if domain:
        fields.append((7, domain))
    return message(*fields, *more)


def port(name: str, shape: Sequence[int | str], element_type: int = 1) -> bytes:
    dims = []
    for size in shape:
        dims.append((1, message((1, size) if isinstance(size, int) else (2, size))))
    return message((1, name), (2, message((1, message((1, element_type), (2, message(*dims)))))))


def model(
    nodes: Sequence[bytes],
    initializers: Sequence[bytes] = (),
    inputs: Sequence[bytes] = (port("z", ["batch", 2]),),
    outputs: Sequence[bytes] = (port("image", ["batch", 1, 28, 28]),),
    *,
    opset: int = 18,
    in_model: Sequence[Field] = (),
    in_graph: Sequence[Field] = (),
) -> bytes:
    graph: list[Field] = [(1, item) for item in nodes]
    graph += [(2, "vae"), *[(5, item) for item in initializers]]
    graph += [(11, item) for item in inputs]
    graph += [(12, item) for item in outputs]
    opsets = [(8, message((1, ""), (2, opset))), (8, message((1, "com.microsoft"), (2, 1)))]
    return message((1, 9), *opsets, (7, message(*graph, *in_graph)), *in_model)


def decoder(
    *middle: bytes, initializers: Sequence[bytes] = (), start: str = "pixels", width: int = 784
) -> bytes:
    """A decoder of 2 latents whose pixels pass through `middle`, from `pixels` to `image`."""
    weights = np.random.default_rng(0).standard_normal((2, width)) / 4
    first = [
        node("MatMul", ["z", "weights"], ["dense"]),
        node("Sigmoid", ["dense"], ["flat"]),
        node("Reshape", ["flat", "image_shape"], [start]),
    ]
    own = [tensor("weights", weights), tensor("image_shape", [-1, 1, 28, 28], np.int64)]
    return model([*first, *middle], [*own, *initializers])


def plain_decoder() -> bytes:
    return decoder(node("Identity", ["pixels"], ["image"]))


def replace_graph(bundle: Path, part: str, content: bytes) -> None:
    """Put another graph into a bundle's first variant, its size and hash set right."""
    manifest = json.loads((bundle / "bundle.json").read_text())
    graph = manifest["variants"][0][part]
    (bundle / graph["file"]).write_bytes(content)
    graph["bytes"] = len(content)
    graph["sha256"] = hashlib.sha256(content).hexdigest()
    (bundle / "bundle.json").write_text(json.dumps(manifest))
