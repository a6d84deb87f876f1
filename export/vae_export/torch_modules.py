"""Helpers for torch modules that somebody else wrote: outputs, copies, names, errors."""

from __future__ import annotations

import contextlib
import copy
import sys
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from vae_runtime.errors import VAEError


def as_list(outputs: Any) -> list[Any]:
    """What a module returned, as a list: modules return a tensor, a tuple or a list."""
    if isinstance(outputs, tuple | list):
        return list(outputs)
    return [outputs]


def operation_name(func: Any) -> str:
    """What torch calls an operation that it dispatches: aten.normal_.default -> normal_."""
    return str(func).split(".")[1]


def copied(module: nn.Module) -> nn.Module:
    """A deep copy. Raises VAEError naming the module where torch cannot make one."""
    computed: dict[int, Any] = {}
    for submodule in module.modules():
        for value in vars(submodule).values():
            if isinstance(value, Tensor) and not value.is_leaf:
                # torch copies none that it computed from others, as weight_norm's weights.
                computed[id(value)] = value.detach().clone()
    try:
        return copy.deepcopy(module, computed)
    except (RuntimeError, TypeError) as error:
        raise VAEError(f"{module_name(module)} cannot be copied: {first_line(error)}") from error


@contextlib.contextmanager
def modules_of_this_folder() -> Iterator[None]:
    """Let Python modules of the current folder be found, as `python -m` finds them."""
    sys.path.insert(0, "")
    try:
        yield
    finally:
        sys.path.remove("")


def module_name(module: nn.Module) -> str:
    """What to call a module in a message.

    Its `exported_as` where it stands for something else, else its class.
    """
    return str(getattr(module, "exported_as", None) or type(module).__name__)


def first_line(error: BaseException) -> str:
    """The first line of the innermost cause's message, or its type where it has none."""
    while error.__cause__ is not None:
        error = error.__cause__
    for line in str(error).splitlines():
        if line.strip():
            return line.strip()
    return type(error).__name__
