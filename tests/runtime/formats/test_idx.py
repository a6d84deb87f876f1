"""IDX files."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vae_runtime.errors import VAEError
from vae_runtime.formats.idx import read_idx, write_idx


@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=1, max_dims=3, max_side=5)))
def test_idx_files_survive_a_round_trip(
    tmp_path_factory: pytest.TempPathFactory, array: np.ndarray
) -> None:
    path = tmp_path_factory.mktemp("idx") / "x-idx-ubyte"
    write_idx(path, array)
    np.testing.assert_array_equal(read_idx(path), array)


@given(st.binary(max_size=40))
def test_any_bytes_are_an_idx_file_or_a_clear_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("idx") / "x-idx-ubyte"
    path.write_bytes(content)
    try:
        read_idx(path)
    except VAEError as error:
        assert "x-idx-ubyte" in str(error)  # noqa: PT017
