"""How many threads to use where nobody said: the CPUs that this process may really use."""

from __future__ import annotations

import math
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def default_threads() -> int:
    """OMP_NUM_THREADS if it is a positive number, else the CPU affinity, limited by the cgroup's CPU quota."""
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    if first.isdigit() and int(first):
        return int(first)
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(affinity, cgroup_limit(CGROUP)))


def cgroup_limit(root: Path) -> int:
    """CPUs that the cgroup's quota allows, rounded up; a large number without one (v2 `cpu.max`, v1 `cpu.cfs_*`)."""
    try:
        quota, period = (root / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (root / "cpu/cpu.cfs_quota_us").read_text().strip()
            period = (root / "cpu/cpu.cfs_period_us").read_text().strip()
        except OSError:
            return 1 << 16
    if not quota.isdigit() or not period.isdigit() or not int(period):
        return 1 << 16
    return max(1, math.ceil(int(quota) / int(period)))
