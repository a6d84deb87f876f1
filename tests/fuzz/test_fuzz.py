"""Some cases of each fuzzer; `python -m tests.fuzz` runs any number."""

import pytest
from tests.fuzz.__main__ import FUZZERS
from tests.fuzz.harness import Fuzzer, run

CASES = 200


@pytest.mark.parametrize("fuzzer", FUZZERS, ids=lambda fuzzer: fuzzer.name)
def test_hostile_input_ends_in_an_error_of_ours(fuzzer: Fuzzer) -> None:
    report = run(fuzzer, CASES)
    assert report.cases == CASES
    assert not report.defects, f"{fuzzer.name}, by seed: {report.defects}"
