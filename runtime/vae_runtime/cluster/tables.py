"""Columns as Arrow tables, and back."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa

from vae_runtime.batch import Batch, Column

SHAPE = b"shape"


def as_table(batch: Batch) -> pa.Table:
    """A table of columns (N, …); those of more dimensions become lists of fixed length.

    Their field's metadata has the shape of a row, as JSON, where it has more than one dimension.
    """
    fields = []
    arrays = []
    for name, column in batch.items():
        array = _as_arrow(column)
        shape = json.dumps(column.shape[1:]) if column.ndim > 2 else None
        metadata = None if shape is None else {SHAPE: shape.encode()}
        fields.append(pa.field(name, array.type, metadata=metadata))
        arrays.append(array)
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def as_column(values: pa.ChunkedArray) -> Column:
    """A column of a table as an array (N, …), of objects where rows aren't all alike."""
    kind = values.type
    if pa.types.is_fixed_size_list(kind) and not values.null_count:
        numbers = values.combine_chunks().flatten()
        if isinstance(numbers, pa.ChunkedArray):
            numbers = numbers.combine_chunks()
        return np.asarray(numbers.to_numpy(zero_copy_only=False)).reshape(-1, kind.list_size)
    column: Column = values.to_numpy()
    return column


def _as_arrow(column: Column) -> Any:
    if column.dtype.kind in "OS":
        # The bytes of files.
        return pa.array(list(column), pa.binary())
    if column.dtype.kind == "U":
        return pa.array(list(column), pa.string())
    if column.ndim == 1:
        return pa.array(column)
    numbers = np.ascontiguousarray(column).reshape(-1)
    width = int(np.prod(column.shape[1:]))
    return pa.FixedSizeListArray.from_arrays(pa.array(numbers), width)
