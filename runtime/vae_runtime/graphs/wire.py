"""Protocol Buffers on the wire: the fields of a message, without copying what they hold.

Source: protobuf.dev, "Encoding". Stricter than protobuf's own readers, which let the last of
several values win and skip what they don't know: two readers must not see two graphs in one file.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

VARINT, BYTES, FIXED32 = 0, 2, 5
KIND_NAMES = {VARINT: "varint", BYTES: "bytes", FIXED32: "32 bits"}
# Bytes; 64 bits in groups of 7.
MAX_VARINT = 10
# Values of one field, in lists that are packed as well.
MAX_VALUES = 20_000
# Bytes of a message that is copied before it is read.
MAX_COPIED = 4096
SIGN_BIT = 1 << 63
WORD = 1 << 64

View = bytes | memoryview
Message = dict[int, list[Any]]
"""The values of each field, by its number."""


class GraphError(ValueError):
    """Why a file is no graph that this package runs: one line without the file's name."""


def read_message(view: View, kinds: Mapping[int, int], repeated: frozenset[int]) -> Message:
    """The fields of a message; `kinds` says which may be there, and of which wire type each is.

    Numbers of `repeated` fields may also be packed, which gives their bytes. Raises GraphError for
    anything else.
    """
    if len(view) <= MAX_COPIED:
        # Bytes are read in half the time that a view of them takes.
        view = bytes(view)
    message: Message = {}
    position, end = 0, len(view)
    while position < end:
        tag = view[position]
        position += 1
        # Most numbers have one byte, which is read without a call.
        if tag >= 0x80:
            tag, position = read_varint(view, position - 1)
        number, kind = tag >> 3, tag & 7
        expected = kinds.get(number)
        if expected is None:
            raise GraphError(f"field {number} has no business in a graph that computes on tensors")
        if kind != expected and not (kind == BYTES and number in repeated):
            raise GraphError(f"field {number} is of another type than {KIND_NAMES[expected]}")
        value: Any = 4
        if kind != FIXED32:
            # The number itself, or the size of what follows.
            value = view[position] if position < end else 0x80
            position += 1
            if value >= 0x80:
                value, position = read_varint(view, position - 1)
        if kind != VARINT:
            if not 0 <= value <= end - position:
                raise GraphError("damaged: a field reaches beyond the end of its message")
            position += value
            value = view[position - value : position]
        if number not in message:
            message[number] = [value]
        else:
            _add_to(message[number], value, number, number in repeated)
    return message


def _add_to(values: list[Any], value: Any, number: int, is_repeated: bool) -> None:
    """A further value of a field. Raises GraphError where there may be one, or no more."""
    if not is_repeated:
        raise GraphError(f"field {number} is there twice")
    if len(values) == MAX_VALUES:
        raise GraphError(f"field {number} has more than {MAX_VALUES} values")
    values.append(value)


def count_numbers(values: list[Any], item_bytes: int | None) -> int:
    """How many numbers a repeated field has, packed or not; `item_bytes` None means varints."""
    count = 0
    for value in values:
        if isinstance(value, int):
            count += 1
        elif item_bytes is None:
            # The last byte of each has no continuation bit.
            count += int(np.count_nonzero(np.frombuffer(value, np.uint8) < 0x80))
        else:
            count += -(-len(value) // item_bytes)
    return count


def varints(values: list[Any]) -> list[int]:
    """The whole numbers of a repeated field, packed or not."""
    _require_few(count_numbers(values, None))
    numbers = []
    for value in values:
        if isinstance(value, int):
            numbers.append(value)
            continue
        position = 0
        while position < len(value):
            number, position = read_varint(value, position)
            numbers.append(number)
    return numbers


def floats(values: list[Any]) -> list[float]:
    """The float32 numbers of a repeated field, packed or not."""
    _require_few(count_numbers(values, 4))
    content = b"".join(bytes(value) for value in values)
    if len(content) % 4:
        raise GraphError("a list of numbers is cut off")
    return list(struct.unpack(f"<{len(content) // 4}f", content))


def _require_few(count: int) -> None:
    if count > MAX_VALUES:
        raise GraphError(f"a list has more than {MAX_VALUES} numbers")


def read_varint(view: View, position: int) -> tuple[int, int]:
    """A signed 64-bit number, and where the next field begins."""
    try:
        byte = view[position]
        if byte < 0x80:
            return byte, position + 1
        number = byte & 0x7F
        for i in range(1, MAX_VARINT):
            byte = view[position + i]
            number |= (byte & 0x7F) << 7 * i
            if byte < 0x80:
                number %= WORD
                return (number - WORD if number >= SIGN_BIT else number), position + i + 1
    except IndexError:
        raise GraphError("damaged: it is cut off") from None
    raise GraphError("damaged: a number of more than 64 bits")
