"""Arguments of every type to every public method: the right answer, or an error that is ours."""

from __future__ import annotations

import decimal
import fractions
import io
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tests.fuzz.harness import Case, Fuzzer, WrongAnswerError
from tests.fuzz.mutators import odd_value
from tests.runtime.helpers import DATA

import vae_runtime

SHAPES = (
    (), (0,), (2,), (3,), (1, 2), (3, 2), (0, 2), (2, 2, 2), (28, 28), (1, 28, 28), (2, 28, 28),
    (2, 1, 28, 28), (0, 1, 28, 28), (1, 28, 28, 1), (2, 784), (3, 28, 28), (2, 2, 1, 28, 28),
)  # fmt: skip
TYPES = ("f4", "f8", "f2", ">f4", "i4", "u1", "i8", "?", "c8", "O", "U3", "M8[s]", "u8", "i4,f4")
SPECIAL = (np.nan, np.inf, -1.0, 2.0, 1e38, 1e4)
METHODS = {
    "decode": ("z",),
    "read": ("source", "fit", "invert", "max_pixels"),
    "show": ("images", "columns", "scale"),
    "save": ("images", "path", "columns", "scale"),
    "encode": ("images", "inference"),
    "reconstruct": ("images", "inference"),
    "sample": ("n", "seed", "source", "temperature"),
    "stream": ("z_or_n", "seed", "source", "temperature"),
    "grid": ("n", "axes", "quantiles", "limits", "anchor"),
    "interpolate": ("z_a", "z_b", "steps", "mode"),
    "edit": ("images", "add", "remove", "direction", "strength", "inference"),
    "concept": ("add", "remove"),
    "learn_concept": ("with_it", "without"),
    "label_mean": ("label",),
    "sample_label": ("label", "n", "seed", "temperature"),
    "score": ("images", "samples", "seed", "bound", "relative"),
}
DEFAULTS: dict[str, Any] = {
    "z": np.zeros((1, 2)),
    "source": np.zeros((28, 28)),
    "images": np.zeros((2, 1, 28, 28)),
    "n": 2,
    "z_or_n": 2,
    "z_a": np.zeros(2),
    "z_b": np.ones(2),
    "with_it": np.zeros((28, 28)),
    "without": np.zeros((28, 28)),
    "label": "4",
    "add": "4",
}
# Counts whose right answer takes minutes are replaced by a smaller one.
COUNTS = ("n", "z_or_n", "steps", "samples")
MANY = 784
FEW = 7
LOADING = ("path", "provider", "precision", "threads", "provider_options")


class Subclass(np.ndarray):
    """An array of somebody's own."""


def odd_argument(rng: Random) -> Any:
    if rng.random() < 0.3:
        return odd_value(rng)
    if rng.random() < 0.3:
        kinds: list[Callable[[], Any]] = [
            lambda: object(),
            lambda: int,
            lambda: len,
            lambda: (0, 1),
            lambda: (1, 0, 2),
            lambda: {1, 2},
            lambda: 1 + 2j,
            lambda: np.float32(3),
            lambda: np.int64(4),
            lambda: decimal.Decimal(3),
            lambda: fractions.Fraction(1, 3),
            lambda: iter([1, 2]),
            lambda: range(3),
            lambda: b"abc",
            lambda: io.BytesIO(b"xx"),
            lambda: io.StringIO("x"),
            lambda: Path("x" * 300),
            lambda: np.random.default_rng(0),
        ]
        return rng.choice(kinds)()
    return odd_array(rng)


def odd_array(rng: Random) -> Any:
    values = np.random.default_rng(rng.randrange(100)).random(rng.choice(SHAPES))
    if values.size and rng.random() < 0.2:
        values.flat[0] = rng.choice(SPECIAL)
    kind = rng.choice(TYPES)
    with np.errstate(all="ignore"):
        try:
            array: NDArray[Any] = values.astype(kind)
        except (ValueError, TypeError):
            array = values.astype(np.int64).astype("M8[s]")
    layouts: list[Callable[[], Any]] = [
        lambda: array,
        lambda: np.asfortranarray(array),
        lambda: array[..., ::-1] if array.ndim else array,
        lambda: np.ma.array(array),
        lambda: np.ma.array(array, mask=True),
        lambda: array.view(Subclass),
        lambda: array.tolist(),
        lambda: np.broadcast_to(array, (2, *array.shape)),
        lambda: np.asmatrix(array) if array.ndim == 2 else array,
    ]
    return rng.choice(layouts)()


def _prepare_calls(folder: Path) -> Case:
    vae = vae_runtime.load(DATA / "tiny.vae", provider="cpu", threads=1)

    def case(rng: Random) -> None:
        method = rng.choice(list(METHODS))
        names = METHODS[method]
        odd = rng.choice(names)
        arguments = {}
        for name in names:
            if name == odd or rng.random() < 0.1:
                arguments[name] = odd_argument(rng)
                if name in COUNTS and type(arguments[name]) is int and arguments[name] == MANY:
                    arguments[name] = FEW
            elif name in DEFAULTS:
                arguments[name] = DEFAULTS[name]
        if method == "save" and odd != "path":
            arguments["path"] = folder / "sheet.png"
        result = getattr(vae, method)(**arguments)
        if method == "stream":
            result = list(result)
        if isinstance(result, np.ndarray) and not np.isfinite(result).all():
            raise WrongAnswerError(f"{method} of an odd {odd} gives NaN or infinity")

    return case


def _prepare_loading(folder: Path) -> Case:
    def case(rng: Random) -> None:
        arguments: dict[str, Any] = {"path": DATA / "tiny.vae", "provider": "cpu"}
        arguments[rng.choice(LOADING)] = odd_argument(rng)
        with vae_runtime.load(**arguments) as vae:
            vae.sample(1, seed=0)

    return case


OURS = (vae_runtime.VAEError, ValueError, TypeError)
FUZZERS = (
    Fuzzer("arguments", _prepare_calls, OURS, must_be_raised_here=True),
    Fuzzer("arguments of load", _prepare_loading, OURS, must_be_raised_here=True),
)
