"""`vae-run ray` on a real Ray, which starts for it."""

from pathlib import Path

import numpy as np
import pytest
from tests.runtime.helpers import Run

import vae_runtime
from vae_runtime.formats.png import png_bytes
from vae_runtime.formats.sheets import sheet

pytestmark = pytest.mark.install


def test_a_data_set_with_damaged_rows(
    tmp_path: Path, vae_run: Run, test_images: np.ndarray, digits: vae_runtime.VAE
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = [png_bytes(sheet(image[None, None] / 255)) for image in test_images]
    files[7] = b"damaged"
    table = pa.table({"picture": files, "label": list(range(300))})
    pq.write_table(table, tmp_path / "digits.parquet", row_group_size=100)
    command = ["ray", "score", "digits.parquet", "-o", "scores", "--column", "picture"]
    done = vae_run(*command)
    assert done.returncode == 1, done.stderr
    assert done.stderr == ""
    assert "300 rows, 1 errors; part files: 3, 0 of them from before" in done.stdout
    found = pq.read_table(tmp_path / "scores")
    assert found.column_names == ["id", "label", "score", "error"]
    assert found["label"].to_pylist() == list(range(300))
    assert "not an image" in found["error"][7].as_py()
    expected = digits.score(test_images)
    expected[7] = np.nan
    assert found["score"].to_numpy().tobytes() == expected.tobytes()
    dates = {path: path.stat().st_mtime_ns for path in (tmp_path / "scores").iterdir()}
    next(iter((tmp_path / "scores").glob("part-00001*"))).unlink()
    again = vae_run(*command)
    assert "part files: 3, 2 of them from before" in again.stdout
    changed = [path.name for path, date in dates.items() if path.stat().st_mtime_ns != date]
    assert changed == ["part-00001.parquet"]
    assert pq.read_table(tmp_path / "scores")["score"].to_numpy().tobytes() == expected.tobytes()
    other = vae_run(*command, "--seed", 3)
    assert other.returncode == 1
    assert "another job (another seed)" in other.stderr


def test_what_fails_is_one_line(tmp_path: Path, vae_run: Run) -> None:
    (tmp_path / "text.txt").write_text("no")
    for arguments in (["missing", "-o", "out"], ["text.txt", "-o", "out"]):
        done = vae_run("ray", "encode", *arguments)
        assert done.returncode == 1
        assert done.stderr.startswith("Error: ")
        assert done.stderr.count("\n") == 1
        assert not (tmp_path / "out").exists()


def test_a_ray_that_cannot_start_is_one_line(
    tmp_path: Path, vae_run: Run, test_images: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "images.npy", test_images)
    # Names of sockets have at most 107 bytes, and Ray raises an OSError of that.
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path / ("long" * 20)))
    done = vae_run("ray", "encode", "images.npy", "-o", "out")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: Ray doesn't start: ")
    assert done.stderr.count("\n") == 1
