import json

import numpy as np
import pytest

pa = pytest.importorskip("pyarrow", reason="the extra [ray] brings it")

from vae_runtime.cluster.tables import as_column, as_table  # noqa: E402


@pytest.mark.parametrize(
    "column",
    [
        np.arange(3),
        np.arange(6, dtype=np.float32).reshape(3, 2),
        np.arange(12, dtype=np.uint8).reshape(3, 4),
        np.empty((0, 2), np.float32),
    ],
    ids=["numbers", "floats", "bytes", "no rows"],
)
def test_numbers_come_back_as_they_were(column: np.ndarray) -> None:
    found = as_column(as_table({"a": column})["a"])
    assert found.dtype == column.dtype
    np.testing.assert_array_equal(found, column)


def test_a_column_has_its_type_without_rows() -> None:
    some = as_table(
        {
            "z": np.zeros((2, 3), np.float32),
            "png": np.array([b"a", b"b"], object),
            "error": np.array(["", "wrong"]),
        }
    )
    none = as_table(
        {
            "z": np.zeros((0, 3), np.float32),
            "png": np.empty(0, np.bytes_),
            "error": np.empty(0, np.str_),
        }
    )
    assert some.schema == none.schema


def test_more_dimensions_are_in_the_metadata() -> None:
    table = as_table({"z": np.zeros((2, 4, 8, 8), np.float32)})
    assert json.loads(table.schema.field("z").metadata[b"shape"]) == [4, 8, 8]
    assert as_column(table["z"]).shape == (2, 256)


def test_rows_of_different_lengths_are_objects() -> None:
    column = as_column(pa.chunked_array([pa.array([[1, 2], [3]])]))
    assert column.dtype == object
    assert [list(item) for item in column] == [[1, 2], [3]]
