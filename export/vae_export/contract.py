"""What an encoder and a decoder must take and return, checked in torch before anything is exported."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vae_runtime.errors import VAEError

Shape = tuple[int, ...]


def require_contract(module: nn.Module, inputs: Tensor, outputs: Mapping[str, Shape]) -> list[Tensor]:
    """The outputs of `module` on `inputs` (N, …), each (N, *shape) float32, by the names of `outputs`.

    Raises VAEError naming the module, the sub-module at fault and the reason when it fails or returns anything else.
    """
    name = module_name(module)
    with torch.no_grad():
        entered, found = _followed(module, inputs)
    if isinstance(found, Exception):
        raise VAEError(f"{_path(name, entered)} fails on an input of {_size(inputs)}: {first_line(found)}") from found
    values = as_list(found)
    if len(values) != len(outputs) or not all(isinstance(value, Tensor) for value in values):
        kinds = ", ".join(type(value).__name__ for value in values)
        raise VAEError(f"{name} should return {', '.join(outputs)}; it returns {kinds}")
    for (output, shape), value in zip(outputs.items(), values, strict=True):
        expected = (len(inputs), *shape)
        if tuple(value.shape) != expected or value.dtype != torch.float32:
            raise VAEError(
                f"{name}: {output} should be float32 {expected} for a batch of {len(inputs)}, "
                f"not {str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
            )
        if not bool(value.isfinite().all()):
            raise VAEError(f"{name}: {output} has values that are not finite")
    return values


def as_list(outputs: Any) -> list[Any]:
    """What a module returned, as a list: modules return a tensor, a tuple or a list."""
    return list(outputs) if isinstance(outputs, tuple | list) else [outputs]


def copied(module: nn.Module) -> nn.Module:
    """A deep copy. Raises VAEError naming the module where torch cannot make one."""
    try:
        return copy.deepcopy(module)
    except (RuntimeError, TypeError) as error:
        raise VAEError(
            f"{module_name(module)} cannot be copied: {first_line(error)} (remove weight_norm and the like first)"
        ) from error


def module_name(module: nn.Module) -> str:
    """What to call a module in a message: its `exported_as` where it stands for something else, else its class."""
    return str(getattr(module, "exported_as", None) or type(module).__name__)


def first_line(error: BaseException) -> str:
    """The innermost cause's first line."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def _followed(module: nn.Module, inputs: Tensor) -> tuple[list[str], Any]:
    """The sub-modules still running when `module` failed, outermost first, and its result or the exception."""
    running: list[str] = []
    handles = []
    for path, part in module.named_modules():
        if path:
            handles.append(part.register_forward_pre_hook(lambda part, _, path=path: running.append(path)))
            handles.append(part.register_forward_hook(lambda *_: running.pop() and None))
    try:
        return running, module(inputs)
    except (RuntimeError, TypeError, ValueError, LookupError, AttributeError, NotImplementedError, AssertionError) as e:
        return running, e
    finally:
        for handle in handles:
            handle.remove()


def _path(name: str, entered: Sequence[str]) -> str:
    return f"{name}, in its {entered[-1]}," if entered else name


def _size(value: Tensor) -> str:
    return "×".join(map(str, value.shape))
