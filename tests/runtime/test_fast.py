"""Every trick for speed agrees with its plain counterpart."""

import hashlib
import subprocess
import sys
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vae_runtime.fast import inverse_normal_cdf, sha256_hex, within_unit_interval


@given(st.binary())
def test_the_hash_is_hashlibs(content: bytes) -> None:
    assert sha256_hex(content) == hashlib.sha256(content).hexdigest()


def test_the_hash_is_the_same_where_the_interpreter_has_no_private_module(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("vae_runtime.fast.SHA256_MODULES", ("_no_such_module",))
    assert sha256_hex(b"vae") == hashlib.sha256(b"vae").hexdigest()


@given(st.floats(1e-12, 1 - 1e-12))
def test_the_quantile_is_the_standard_librarys(probability: float) -> None:
    assert inverse_normal_cdf(probability) == NormalDist().inv_cdf(probability)


@given(st.lists(st.floats(width=32), min_size=1))
def test_what_is_taken_for_the_unit_interval_lies_in_it(values: list[float]) -> None:
    array = np.array(values, np.float32)
    lies_in_it = bool((array >= 0).all() and (array <= 1).all())
    has_negative_zero = bool(np.signbit(array[array == 0]).any())
    assert within_unit_interval(array) == (lies_in_it and not has_negative_zero)


@pytest.mark.parametrize("status", [0, 3])
def test_an_end_at_once_still_flushes_and_keeps_the_status(status: int) -> None:
    code = f"from vae_runtime.fast import exit_at_once; print('said'); exit_at_once({status})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (status, "said\n")
