import platform
import subprocess
import sys

import pytest

# What one page of a freed buffer costs the second time: a fault where malloc gave it back.
PROGRAM = """
import ctypes, resource, sys
from vae_train.allocator import keep_large_buffers
if sys.argv[1] == "keep":
    keep_large_buffers()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
for _ in range(20):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    buffer = libc.malloc(32 << 20)
    ctypes.memset(buffer, 1, 32 << 20)
    libc.free(buffer)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(mode: str) -> int:
    """Page faults of writing to 32 MiB for the twentieth time, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, mode], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is glibc's allocator")
def test_a_freed_buffer_is_kept_for_the_next_one() -> None:
    assert page_faults("keep") < 10
