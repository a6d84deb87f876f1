"""Cases by seed: what runs them, and what counts as a defect."""

from __future__ import annotations

import linecache
import random
import signal
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from vae_runtime.errors import VAEError

# A case that takes longer counts as a hang; on an idle machine all of them end within two seconds.
MAX_SECONDS = 20
Case = Callable[[random.Random], None]


class Hang(BaseException):
    """A case that didn't end; no handler for Exception may take it for one of its own."""


class WrongAnswerError(Exception):
    """A defect without an exception."""


@dataclass(frozen=True)
class Fuzzer:
    """One kind of hostile input: `prepare` makes a case from a folder of its own.

    A case draws everything from the generator that it is given. It may return or raise one of
    `allowed`; all else is a defect. `must_be_raised_here` also takes an allowed exception for a
    defect that numpy or Python itself raised: its message cannot name the argument.
    """

    name: str
    prepare: Callable[[Path], Case]
    allowed: tuple[type[BaseException], ...] = (VAEError,)
    must_be_raised_here: bool = False


@dataclass
class Report:
    """What came out of many cases: how many, and the defects by seed."""

    fuzzer: str
    cases: int = 0
    defects: dict[int, str] = field(default_factory=dict)


def run(fuzzer: Fuzzer, cases: int, first_seed: int = 0) -> Report:
    """Run the cases of `cases` seeds from `first_seed` on."""
    report = Report(fuzzer.name)
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = Path(name)
        case = fuzzer.prepare(folder)
        # A case may name "..", which must be an empty folder too.
        empty = folder / "empty" / "empty"
        empty.mkdir(parents=True)
        with chdir(empty):
            for seed in range(first_seed, first_seed + cases):
                report.cases += 1
                defect = _defect_of(fuzzer, case, seed)
                if defect:
                    report.defects[seed] = defect
    return report


def _defect_of(fuzzer: Fuzzer, case: Case, seed: int) -> str:
    """What is wrong with how a case ends; an empty text where nothing is."""
    try:
        with _time_limit():
            case(random.Random(seed))
    except fuzzer.allowed as error:
        if "\n" in str(error):
            return f"{type(error).__name__} of several lines: {error!s}"
        if fuzzer.must_be_raised_here and not _is_raised_here(error):
            return f"foreign {_described(error)}"
    except (Exception, Hang) as error:
        return _described(error)
    return ""


def _is_raised_here(error: BaseException) -> bool:
    """Whether a statement `raise` of this package's raised it."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    is_ours = "vae_runtime" in Path(place.filename).parts
    return is_ours and linecache.getline(place.filename, place.lineno or 0).strip()[:6] == "raise "


def _described(error: BaseException) -> str:
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(place.filename).name}:{place.lineno}"
    return f"{type(error).__name__} at {where}: {error!s:.200}"


@contextmanager
def _time_limit() -> Iterator[None]:
    if not hasattr(signal, "SIGALRM"):
        yield
        return

    def ring(_signal: int, _frame: FrameType | None) -> None:
        raise Hang(f"longer than {MAX_SECONDS} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(MAX_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
