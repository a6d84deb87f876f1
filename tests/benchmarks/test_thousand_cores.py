"""The simulation obeys what can be worked out by hand."""

from dataclasses import replace

import pytest
from benchmarks.thousand_cores import Cluster, simulate

CLUSTER = Cluster(
    workers=10,
    parts=1000,
    rows_per_part=1000,
    row_seconds=1e-3,
    dispatch_seconds=1e-3,
    bytes_per_row=1000,
    storage_bytes_per_second=1e9,
    spread=0.0,
)


def test_few_workers_are_what_limits_and_scale() -> None:
    one = simulate(replace(CLUSTER, workers=1))
    ten = simulate(CLUSTER)
    assert one.seconds == pytest.approx(1000, rel=0.01)
    assert one.seconds / ten.seconds == pytest.approx(10, rel=0.02)
    assert ten.bottleneck == "the workers"


def test_the_driver_limits_where_parts_are_short() -> None:
    found = simulate(replace(CLUSTER, workers=1000, dispatch_seconds=0.05))
    assert found.seconds == pytest.approx(50, rel=0.05)
    assert "driver" in found.bottleneck


def test_the_storage_limits_where_it_is_slow() -> None:
    found = simulate(replace(CLUSTER, workers=1000, storage_bytes_per_second=1e7))
    assert found.seconds == pytest.approx(100, rel=0.05)
    assert found.bottleneck == "the storage"
