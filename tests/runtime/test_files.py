import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vae_runtime.errors import VAEError
from vae_runtime.files import atomic_directory, atomic_file, merging_directory, replacing_directory
from vae_runtime.idx import read_idx, write_idx


def test_a_file_appears_only_when_its_block_ends_well(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_file(target) as temporary:  # noqa: PT012
        temporary.write_text("half")
        1 / 0  # noqa: B018
    assert target.read_text() == "old"
    with atomic_file(target) as temporary:
        temporary.write_text("new")
    assert target.read_text() == "new"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    with pytest.raises(VAEError, match="not an empty folder"), atomic_directory(tmp_path / "out"):
        pass
    with pytest.raises(VAEError, match="not a bundle"), replacing_directory(tmp_path / "out", lambda p: False):
        pass
    assert sorted(os.listdir(tmp_path)) == ["out"]


def test_a_folder_of_ours_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    (target / "old").touch()
    with pytest.raises(ZeroDivisionError), replacing_directory(target, lambda p: True) as temporary:  # noqa: PT012
        (temporary / "new").touch()
        1 / 0  # noqa: B018
    assert os.listdir(target) == ["old"]
    with replacing_directory(target, lambda p: True) as temporary:
        (temporary / "new").touch()
    assert os.listdir(target) == ["new"]
    assert os.listdir(tmp_path) == ["out"]


def test_merging_keeps_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    with merging_directory(tmp_path / "out") as temporary:
        (temporary / "new").touch()
    assert sorted(os.listdir(tmp_path / "out")) == ["mine", "new"]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(VAEError, match="absent/a.png: cannot be written: No such file"),
        atomic_file(tmp_path / "absent" / "a.png"),
    ):
        pass


@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=1, max_dims=3, max_side=5)))
def test_idx_files_survive_a_round_trip(tmp_path_factory: pytest.TempPathFactory, array: np.ndarray) -> None:
    path = tmp_path_factory.mktemp("idx") / "x-idx-ubyte"
    write_idx(path, array)
    np.testing.assert_array_equal(read_idx(path), array)


@given(st.binary(max_size=40))
def test_any_bytes_are_an_idx_file_or_a_clear_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("idx") / "x-idx-ubyte"
    path.write_bytes(content)
    try:
        read_idx(path)
    except VAEError as error:
        assert "x-idx-ubyte" in str(error)  # noqa: PT017
