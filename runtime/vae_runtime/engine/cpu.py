"""The CPU at hand: how many threads this process may use, its name, its instruction sets."""

from __future__ import annotations

import math
import os
import platform
from pathlib import Path

from vae_runtime.memory_limits import has_small_limit

CGROUP = Path("/sys/fs/cgroup")
CPUINFO = Path("/proc/cpuinfo")
UNLIMITED = 1 << 16


def default_threads() -> int:
    """OMP_NUM_THREADS if it is a positive number, else the CPUs that this process may use.

    One where its memory is limited to little (`vae_runtime.memory_limits`).
    """
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    if first.isdigit() and int(first):
        return int(first)
    if has_small_limit():
        return 1
    return max(1, min(_usable_cpus(), cgroup_limit(CGROUP)))


def cgroup_limit(root: Path) -> int:
    """CPUs that the cgroup's quota allows, rounded up; a large number where there is none.

    cgroup v2 has `cpu.max`, v1 has `cpu.cfs_quota_us` and `cpu.cfs_period_us`.
    """
    try:
        quota, period = (root / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (root / "cpu/cpu.cfs_quota_us").read_text().strip()
            period = (root / "cpu/cpu.cfs_period_us").read_text().strip()
        except OSError:
            return UNLIMITED
    if not quota.isdigit() or not period.isdigit() or not int(period):
        return UNLIMITED
    return max(1, math.ceil(int(quota) / int(period)))


def instruction_sets() -> set[str]:
    """The CPU's flags as Linux lists them; empty elsewhere.

    But for Apple's ARM CPUs, all of which have dot products.
    """
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        return {"asimddp"}
    values = _cpuinfo("flags", "Features")
    return set(values[0].split()) if values else set()


def cpu_name() -> str:
    """What the CPU calls itself."""
    names = _cpuinfo("model name", "Model")
    return names[0] if names else platform.processor() or platform.machine()


def _usable_cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpuinfo(*keys: str) -> list[str]:
    """The values of the lines of /proc/cpuinfo that begin with one of `keys`."""
    try:
        lines = CPUINFO.read_text().splitlines()
    except OSError:
        return []
    return [line.partition(":")[2].strip() for line in lines if line.startswith(keys)]
