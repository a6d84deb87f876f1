"""The snippets of docs/scale.md run as they stand, and give what one process gives."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import vae_runtime
from vae_runtime.batch import Encode
from vae_runtime.formats.idx import read_idx
from vae_runtime.formats.png import png_bytes
from vae_runtime.formats.sheets import sheet

pytestmark = pytest.mark.install
PAGE = Path(__file__).parents[2] / "docs" / "scale.md"
SNIPPETS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)
RAY, SPARK, DASK = SNIPPETS
# Every batch says in which process it ran, and how many models that one has loaded.
COUNT_LOADS = """
import os
from vae_runtime.batch import loaded

@pandas_udf("pid long, loads long")
def counted(batches: Iterator[pd.Series]) -> Iterator[pd.DataFrame]:
    for images in batches:
        encode({"image": images.to_numpy()})
        loads = loaded.cache_info().misses
        yield pd.DataFrame({"pid": [os.getpid()] * len(images), "loads": [loads] * len(images)})

rows = images.select(counted("image.bytes").alias("found")).select("found.*").distinct().collect()
assert 1 <= len(rows) <= 2, rows
assert all(row.loads == 1 for row in rows), rows
"""


@pytest.fixture(scope="module")
def digits(sample_folder: Path) -> np.ndarray:
    return read_idx(sample_folder / "t10k-images-idx3-ubyte.gz")


@pytest.fixture
def folder(tmp_path: Path, digits: np.ndarray) -> Path:
    """Where a reader of the page would be, with MNIST as Hugging Face stores it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    images = []
    for image in digits:
        images.append({"bytes": png_bytes(sheet(image[None, None] / 255)), "path": None})
    table = pa.table({"image": images, "label": list(range(len(images)))})
    pq.write_table(table, tmp_path / "mnist.parquet")
    return tmp_path


def run(code: str, folder: Path) -> None:
    """Run a snippet as somebody does who has activated this environment."""
    (folder / "snippet.py").write_text(code, "utf-8")
    # Spark's workers take the first python3 on PATH.
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "snippet.py"],
        cwd=folder,
        env={**os.environ, "PATH": programs},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def columns(path: Path) -> dict[str, np.ndarray]:
    """The columns of a folder of Parquet files, by label."""
    import pyarrow.parquet as pq

    table = pq.read_table(path).sort_by("label").to_pydict()
    return {name: np.array(values) for name, values in table.items()}


def test_ray_data_gives_what_one_process_gives(folder: Path, digits: np.ndarray) -> None:
    run(RAY, folder)
    found = columns(folder / "ray-latents")
    expected = Encode()({"image": digits})["z_mean"]
    assert found["z_mean"].astype(np.float32).tobytes() == expected.tobytes()
    assert not any(found["error"])


def test_spark_gives_what_one_process_gives_with_one_model_in_each_worker(
    folder: Path, digits: np.ndarray
) -> None:
    run(SPARK + COUNT_LOADS, folder)
    found = columns(folder / "spark-latents")
    expected = Encode()({"image": digits})["z_mean"]
    assert found["z_mean"].astype(np.float32).tobytes() == expected.tobytes()


def test_dask_gives_what_one_process_gives(folder: Path, digits: np.ndarray) -> None:
    run(DASK, folder)
    found = columns(folder / "dask-scores")
    assert found["score"].tobytes() == vae_runtime.load().score(digits).tobytes()
