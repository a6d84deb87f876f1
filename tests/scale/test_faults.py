"""Faults that strike small runs; `python -m tests.scale` lets them strike large ones."""

from pathlib import Path

import pytest
from tests.scale.faults import FAULTS, make_data

pytestmark = pytest.mark.install
# Four parts for two actors.
ROWS = 40_000


@pytest.mark.parametrize("name", ["worker killed", "driver killed"])
def test_nothing_is_lost_and_nothing_twice(name: str, tmp_path: Path, sample_folder: Path) -> None:
    data = make_data(tmp_path, ROWS, sample_folder / "t10k-images-idx3-ubyte.gz")
    assert FAULTS[name](data, tmp_path)
