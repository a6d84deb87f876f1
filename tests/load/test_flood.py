"""`vae-run explore` under a flood: it stays up and correct, and nothing is left behind."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.load.flood import PROBES, Target, run_probes
from tests.runtime.helpers import DATA

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
# What threads of Python and arenas of glibc may keep.
ALLOWED_MIB = 60
PATIENCE = 40


@pytest.fixture
def explore() -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "vae_runtime", "explore", "--no-open", "--port", "0"]
    process = subprocess.Popen(
        [*command, "-m", str(DATA / "tiny.vae")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    yield process
    process.kill()
    process.communicate()


def resident_mib(process: "subprocess.Popen[str]") -> float:
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024


def descriptors(process: "subprocess.Popen[str]") -> int:
    return len(list(Path(f"/proc/{process.pid}/fd").iterdir()))


@pytest.mark.slow
def test_a_flood_changes_nothing(explore: "subprocess.Popen[str]") -> None:
    assert explore.stdout is not None
    shown = re.match(r"http://(.+):(\d+)/ ", explore.stdout.readline())
    assert shown is not None
    target = Target(shown[1], int(shown[2]))
    assert target.status() == 200
    before = resident_mib(explore), descriptors(explore)
    found = run_probes(target)
    assert found == {name: [] for name in PROBES}
    ends = time.monotonic() + PATIENCE
    while descriptors(explore) > before[1] and time.monotonic() < ends:
        time.sleep(0.1)
    assert descriptors(explore) <= before[1]
    assert resident_mib(explore) < before[0] + ALLOWED_MIB
    explore.terminate()
    _, errors = explore.communicate(timeout=PATIENCE)
    assert errors == ""
