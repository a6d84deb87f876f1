"""What was complete stays, whenever a writer is killed, and the next run cleans up."""

import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from tests.crashes.harness import kill_once
from tests.crashes.writers import WRITERS, write_array, write_bundle

from vae_runtime.formats import files, leftovers
from vae_runtime.formats.leftovers import exchange, name_beside

KILLS = 3


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no kill -9 and no such locks")
@pytest.mark.parametrize("kind", WRITERS)
def test_a_killed_writer_leaves_whole_output_or_none(kind: str, tmp_path: Path) -> None:
    for seed in range(KILLS):
        assert kill_once(kind, tmp_path, Random(seed)) == []


def test_the_old_bundle_is_put_back_where_names_cannot_be_exchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "exchange", lambda first, second: False)
    target = tmp_path / "b.vae"
    write_bundle(target, 0)
    # Killed between the two renames.
    os.replace(target, name_beside(target, leftovers.ASIDE))
    assert not target.exists()
    leftovers.put_back(target)
    assert (target / "bundle.json").is_file()
    write_bundle(target, 1)
    assert os.listdir(tmp_path) == ["b.vae"]


@pytest.mark.skipif(sys.platform != "linux", reason="Linux's system call")
def test_two_folders_are_exchanged_in_one_step(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"was_{name}").touch()
    if exchange(tmp_path / "a", tmp_path / "b"):
        assert os.listdir(tmp_path / "a") == ["was_b"]
    assert not exchange(tmp_path / "a", tmp_path / "none")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such locks")
def test_what_another_run_is_writing_is_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "a.npy"
    with files.atomic_file(target) as first:
        write_array(target, 1)
        assert first.exists()
        first.write_bytes(b"last")
    assert target.read_bytes() == b"last"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such locks")
def test_a_file_is_written_inside_a_folder_that_is_being_written(tmp_path: Path) -> None:
    with files.atomic_folder(tmp_path / "f") as folder:
        write_array(folder / "a.npy", 0)
    assert os.listdir(tmp_path / "f") == ["a.npy"]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX shells")
@pytest.mark.parametrize("streams", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_end_in_no_traceback(streams: str, tmp_path: Path) -> None:
    command = f"{sys.executable} -m vae_runtime sample -n 1 --seed 0 -o s.png {streams}"
    done = subprocess.run(
        command, shell=True, cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert "Traceback" not in done.stderr
    assert (tmp_path / "s.png").is_file()
