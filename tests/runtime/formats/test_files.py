"""Output appears whole or not at all."""

import os
from pathlib import Path

import pytest

from vae_runtime.errors import VAEError
from vae_runtime.formats.files import atomic_file, atomic_folder, merging_folder, replacing_folder


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
    with pytest.raises(VAEError, match="not an empty folder"), atomic_folder(tmp_path / "out"):
        pass
    with (
        pytest.raises(VAEError, match="not a bundle"),
        replacing_folder(tmp_path / "out", lambda p: False, "bundle"),
    ):
        pass
    assert sorted(os.listdir(tmp_path)) == ["out"]


def _replace_and_fail(target: Path) -> None:
    with replacing_folder(target, lambda path: True, "bundle") as temporary:
        (temporary / "new").touch()
        raise ZeroDivisionError


def test_a_folder_of_ours_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    (target / "old").touch()
    with pytest.raises(ZeroDivisionError):
        _replace_and_fail(target)
    assert os.listdir(target) == ["old"]
    with replacing_folder(target, lambda p: True, "bundle") as temporary:
        (temporary / "new").touch()
    assert os.listdir(target) == ["new"]
    assert os.listdir(tmp_path) == ["out"]


def test_merging_keeps_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    with merging_folder(tmp_path / "out") as temporary:
        (temporary / "new").touch()
    assert sorted(os.listdir(tmp_path / "out")) == ["mine", "new"]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(VAEError, match="absent/a.png: cannot be written: No such file"),
        atomic_file(tmp_path / "absent" / "a.png"),
    ):
        pass
