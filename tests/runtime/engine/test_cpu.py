"""How many threads a process may use."""

import os
from pathlib import Path

import pytest

from vae_runtime.engine.cpu import cgroup_limit, default_threads


def test_threads_follow_omp_num_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert default_threads() == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "5,2")
    assert default_threads() == 5
    monkeypatch.setenv("OMP_NUM_THREADS", "zero")
    assert default_threads() <= len(os.sched_getaffinity(0))


def test_threads_follow_the_cgroups_quota(tmp_path: Path) -> None:
    assert cgroup_limit(tmp_path) > 1000
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    assert cgroup_limit(tmp_path) == 2
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert cgroup_limit(tmp_path) > 1000
    (tmp_path / "cpu.max").unlink()
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("-1\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert cgroup_limit(tmp_path) > 1000
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("50000\n")
    assert cgroup_limit(tmp_path) == 1
