"""Weights from the files that people save: a state_dict, bare or wrapped, its names prefixed."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vae_export.torch_modules import modules_of_this_folder
from vae_runtime.errors import VAEError

# What people save a state_dict under: lightning, pythae, and scripts.
WRAPPER_KEYS = ("state_dict", "model_state_dict", "model", "net", "vae", "weights")
# torch.compile puts it into every name, in front of what it compiled.
COMPILED = "_orig_mod."
SAFETENSORS = ".safetensors"
# How much of torch's list of keys that don't fit is shown.
MAX_REASON_CHARACTERS = 300
# What torch raises for files that hold something else.
BAD_FILE = (
    RuntimeError,
    pickle.UnpicklingError,
    EOFError,
    TypeError,
    AttributeError,
    ImportError,
    ValueError,
    LookupError,
)

State = dict[str, Tensor]


@dataclass(frozen=True)
class _Found:
    """A state_dict, the key that it was under ("" for none), and what its names began with."""

    state: State
    key: str
    prefix: str = ""
    left_out: int = 0

    def describe(self, file: Path) -> str:
        details = [f"weights: {file}"]
        if self.key:
            details.append(f"under {self.key!r}")
        if self.prefix:
            details.append(f"names without {self.prefix!r}")
        if self.left_out:
            details.append(f"{self.left_out} other tensors left out")
        return ", ".join(details)


def load_weights(module: nn.Module, file: Path, *, trust: bool = False) -> str:
    """Load the weights in `file` into `module`; returns a line that says what was found.

    Only tensors are read, unless `trust` lets the file run the code that its pickle holds. Raises
    VAEError for a missing or unreadable file, and for one whose tensors aren't the module's.
    """
    saved = read_saved(file, trust=trust)
    if isinstance(saved, nn.Module):
        saved = saved.state_dict()
    found = _fitting(file, _state_dicts(file, saved), module.state_dict())
    try:
        module.load_state_dict(found.state)
    except BAD_FILE as error:
        reason = " ".join(str(error).split())[:MAX_REASON_CHARACTERS]
        raise VAEError(f"{file}: not a state_dict of this module: {reason}") from None
    return found.describe(file)


def read_saved(file: Path, *, trust: bool) -> Any:
    """What torch.save or safetensors wrote. Raises VAEError."""
    if not file.is_file():
        raise VAEError(f"{file}: no such file")
    try:
        if file.suffix == SAFETENSORS:
            return _safetensors(file)
        if not trust:
            return torch.load(file, map_location="cpu", weights_only=True)
        with modules_of_this_folder():
            return torch.load(file, map_location="cpu", weights_only=False)
    except pickle.UnpicklingError as error:
        if trust:
            raise VAEError(f"{file}: cannot be read: {_short(error)}") from None
        raise VAEError(
            f"{file}: holds more than tensors, which is read by running code from the file; "
            "--trust (trust=True) does that, for files whose origin you trust"
        ) from None
    except BAD_FILE as error:
        raise VAEError(f"{file}: cannot be read: {_short(error)}") from None


def _safetensors(file: Path) -> Any:
    # Only those who have such files need the package.
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError:
        raise VAEError(f"{file}: reading it needs safetensors: pip install safetensors") from None
    try:
        return load_file(file)
    except SafetensorError as error:
        raise VAEError(f"{file}: cannot be read: {_short(error)}") from None


def _state_dicts(file: Path, saved: Any) -> list[_Found]:
    """The state_dicts in a file: itself, or what it holds under the keys that people use."""
    if not isinstance(saved, Mapping):
        raise VAEError(f"{file}: not a state_dict of this module: it holds a {_kind(saved)}")
    if _is_state_dict(saved):
        return [_Found(dict(saved), "")]
    found = []
    for key in WRAPPER_KEYS:
        inner = saved.get(key)
        if isinstance(inner, nn.Module):
            inner = inner.state_dict()
        if inner is not None and _is_state_dict(inner):
            found.append(_Found(dict(inner), key))
    if not found:
        keys = ", ".join(map(str, saved)) or "nothing"
        raise VAEError(
            f"{file}: not a state_dict of this module: it holds {keys[:MAX_REASON_CHARACTERS]}; "
            f"a state_dict under {', '.join(WRAPPER_KEYS)} was expected"
        )
    return found


def _fitting(file: Path, candidates: list[_Found], wanted: Mapping[str, Tensor]) -> _Found:
    """The first candidate that has every name, with its prefix off; else the first as it is."""
    for candidate in candidates:
        state = {name.replace(COMPILED, ""): value for name, value in candidate.state.items()}
        for prefix in _prefixes(state, wanted):
            if not all(prefix + name in state for name in wanted):
                continue
            inside = {name: value for name, value in state.items() if name.startswith(prefix)}
            stripped = {name.removeprefix(prefix): value for name, value in inside.items()}
            was_compiled = any(COMPILED in name for name in candidate.state)
            shown = prefix + (COMPILED if was_compiled else "")
            return _Found(stripped, candidate.key, shown, len(state) - len(inside))
    return candidates[0]


def _prefixes(state: State, wanted: Mapping[str, Tensor]) -> list[str]:
    """What stands before the module's first name wherever it occurs, the shortest first."""
    if not wanted:
        return [""]
    first = next(iter(wanted))
    prefixes = []
    for name in state:
        if name == first or name.endswith("." + first):
            prefixes.append(name.removesuffix(first))
    return sorted(prefixes, key=len)


def _is_state_dict(value: Any) -> bool:
    if not isinstance(value, Mapping) or not value:
        return False
    return all(isinstance(item, Tensor) for item in value.values())


def _kind(value: Any) -> str:
    return type(value).__name__


def _short(error: BaseException) -> str:
    is_number = isinstance(error, KeyError) and isinstance(error.args[0], int)
    if is_number or isinstance(error, EOFError):
        # Bytes that are no pickle end in an empty file, or in the number of the first of them.
        return "torch.save wrote nothing like it"
    return " ".join(str(error).split())[:MAX_REASON_CHARACTERS]
