from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="the extra [ray] brings it")

from vae_runtime import VAEError
from vae_runtime.batch import Encode, Score
from vae_runtime.cluster.output import Counts, OutputFolder, job_of
from vae_runtime.cluster.parts import open_source
from vae_runtime.cluster.ray_data import PartWriter

JOB = {"operation": "encode", "bundle": "1", "rows": 3}


@pytest.fixture
def folder(tmp_path: Path) -> OutputFolder:
    return OutputFolder(tmp_path / "out", 3)


def test_a_part_appears_whole_with_its_errors(folder: OutputFolder, tmp_path: Path) -> None:
    images = np.zeros((5, 28, 28), np.float32)
    images[2] = np.nan
    np.save(tmp_path / "images.npy", images)
    (part,) = open_source(tmp_path / "images.npy", "image").parts
    folder.begin(JOB, force=False)
    written = PartWriter(Encode(), folder)({"number": 1, "part": part})
    assert written == {"number": 1, "rows": 5, "errors": 1, "failure": ""}
    assert folder.done() == {1: Counts(5, 1)}
    names = [path.name for path in folder.path.iterdir()]
    assert sorted(names) == ["_job.json", "part-00001.parquet"]


def test_what_fails_comes_back_as_a_line(folder: OutputFolder, tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", np.zeros((5, 28, 28), np.uint8))
    (part,) = open_source(tmp_path / "images.npy", "image").parts
    written = PartWriter(Encode(), folder)({"number": 0, "part": part})
    assert "out" in written["failure"]
    assert "\n" not in written["failure"]


def test_the_same_job_goes_on_and_another_is_refused(folder: OutputFolder) -> None:
    folder.begin(JOB, force=False)
    folder.begin(JOB, force=False)
    with pytest.raises(VAEError, match="holds the parts of another job \\(another bundle\\)"):
        folder.begin({**JOB, "bundle": "2"}, force=False)
    folder.part(0).write_bytes(b"")
    folder.begin({**JOB, "bundle": "2"}, force=True)
    assert not folder.part(0).exists()


def test_somebody_elses_folder_is_not_touched(folder: OutputFolder) -> None:
    folder.path.mkdir()
    (folder.path / "thesis.txt").write_text("years of work")
    for force in (False, True):
        with pytest.raises(VAEError, match="isn't empty and holds no job"):
            folder.begin(JOB, force=force)


def test_a_damaged_part_is_named(folder: OutputFolder) -> None:
    folder.begin(JOB, force=False)
    folder.part(2).write_bytes(b"PAR1")
    with pytest.raises(VAEError, match=r"part-00002\.parquet: damaged, remove it"):
        folder.done()


def test_a_job_is_what_decides_the_results(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", np.zeros((5, 28, 28), np.uint8))
    source = open_source(tmp_path / "images.npy", "image")
    job = job_of(Score(threads=1), b"bundle", source)
    assert job == job_of(Score(threads=2), b"bundle", source)
    for other in (Score(samples=2), Score(seed=1), Encode()):
        assert job != job_of(other, b"bundle", source)
    assert job != job_of(Score(), b"another", source)
