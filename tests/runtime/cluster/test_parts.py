import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pa = pytest.importorskip("pyarrow", reason="the extra [ray] brings it")
import pyarrow.parquet as pq  # noqa: E402

from vae_runtime import VAEError  # noqa: E402
from vae_runtime.cluster import parts as cluster_parts  # noqa: E402
from vae_runtime.cluster.parts import Chunk, open_source  # noqa: E402
from vae_runtime.formats.idx import write_idx  # noqa: E402

CHUNK = 4


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_parts, "ROWS_PER_PART", 10)


def chunks_of(path: Path, column: str = "image") -> list[Chunk]:
    found = []
    for part in open_source(path, column).parts:
        found += list(part.chunks(column, CHUNK))
    return found


def ids_of(chunks: Iterable[Chunk]) -> list[int]:
    return [i for chunk in chunks for i in chunk.kept["id"].to_pylist()]


@pytest.mark.parametrize("kind", [".npy", ".npz", ".idx"])
def test_an_array_comes_in_parts_and_in_order(tmp_path: Path, kind: str) -> None:
    images = np.random.default_rng(0).integers(0, 256, (23, 5, 5)).astype(np.uint8)
    path = tmp_path / f"images{kind}"
    writers: dict[str, Any] = {".npy": np.save, ".idx": write_idx}
    if kind == ".npz":
        np.savez(path, image=images)
    else:
        writers[kind](path, images)
    chunks = chunks_of(path)
    assert [part.rows for part in open_source(path, "image").parts] == [10, 10, 3]
    assert ids_of(chunks) == list(range(23))
    assert max(len(chunk.kept) for chunk in chunks) == CHUNK
    together = np.concatenate([chunk.batch["image"] for chunk in chunks])
    np.testing.assert_array_equal(together, images)


def test_a_packed_array_is_unpacked_once_for_all_its_parts(tmp_path: Path) -> None:
    path = tmp_path / "images.npz"
    first, second = np.zeros((23, 5, 5), np.uint8), np.ones((24, 5, 5), np.uint8)
    np.savez(path, image=first)
    images = chunks_of(path)[0].batch["image"]
    assert np.shares_memory(images, chunks_of(path)[0].batch["image"])
    np.savez(path, image=second)
    assert np.array_equal(chunks_of(path)[0].batch["image"], second[:CHUNK])


def test_a_folder_of_images_has_names_and_damaged_files_have_errors(tmp_path: Path) -> None:
    for number in range(12):
        Image.new("L", (5, 5)).save(tmp_path / f"{number:02d}.png")
    (tmp_path / "sub").mkdir()
    os.mkfifo(tmp_path / "sub" / "pipe.png")
    (tmp_path / "03.png").chmod(0)
    source = open_source(tmp_path, "image")
    (tmp_path / "05.png").unlink()
    found: dict[str, str] = {}
    for part in source.parts:
        for chunk in part.chunks("image", CHUNK):
            names = chunk.kept["name"].to_pylist()
            found.update(zip(names, chunk.batch["error"].tolist(), strict=True))
    assert list(found) == [f"{number:02d}.png" for number in range(12)]
    assert "no such file" in found["05.png"]
    assert found["00.png"] == ""


def test_a_chunk_of_large_files_holds_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_parts, "MAX_CHUNK_BYTES", 1000)
    for number in range(8):
        (tmp_path / f"{number}.png").write_bytes(b"x" * 600)
    sizes = [len(chunk.kept) for chunk in chunks_of(tmp_path)]
    assert sizes == [2, 2, 2, 2]


def test_parquet_keeps_its_other_columns(tmp_path: Path) -> None:
    table = pa.table({"image": [b"a", b"b", b"c"] * 5, "label": list(range(15))})
    pq.write_table(table.slice(0, 9), tmp_path / "a.parquet", row_group_size=6)
    pq.write_table(table.slice(9), tmp_path / "b.parquet", row_group_size=6)
    chunks = chunks_of(tmp_path)
    assert [part.rows for part in open_source(tmp_path, "image").parts] == [6, 3, 6]
    assert ids_of(chunks) == list(range(15))
    labels = [label for chunk in chunks for label in chunk.kept["label"].to_pylist()]
    assert labels == list(range(15))
    assert chunks[0].kept.column_names == ["id", "label"]


def test_ids_that_are_there_stay(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": [b"a", b"b"], "id": [7, 5]}), tmp_path / "a.parquet")
    assert ids_of(chunks_of(tmp_path / "a.parquet")) == [7, 5]


def test_what_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("no")
    (tmp_path / "damaged.parquet").write_bytes(b"PAR1 and no more")
    (tmp_path / "empty").mkdir()
    pq.write_table(pa.table({"pixels": [b"a"]}), tmp_path / "other.parquet")
    for name, words in {
        "text.txt": "was expected",
        "damaged.parquet": "not a readable Parquet file",
        "empty": "nothing in it",
        "other.parquet": "no column 'image', it has pixels; see --column",
        "missing.npy": "no such file",
    }.items():
        with pytest.raises(VAEError, match=words):
            open_source(tmp_path / name, "image")


def test_the_fingerprint_changes_with_the_files(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((3, 4)))
    before = open_source(tmp_path / "a.npy", "image").fingerprint
    assert open_source(tmp_path / "a.npy", "image").fingerprint == before
    np.save(tmp_path / "a.npy", np.zeros((4, 4)))
    assert open_source(tmp_path / "a.npy", "image").fingerprint != before
