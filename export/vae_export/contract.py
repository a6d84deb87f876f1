"""What an encoder and a decoder must take and return, checked before anything is exported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from vae_export.torch_modules import as_list, first_line, module_name
from vae_runtime.errors import VAEError

# What a forward raises on an input that it wasn't written for.
FORWARD_ERRORS = (
    RuntimeError,
    TypeError,
    ValueError,
    LookupError,
    AttributeError,
    NotImplementedError,
    AssertionError,
)

# How much an output may differ for other images in the batch, of its largest magnitude: far more
# than the order of additions does.
MAX_BATCH_EFFECT = 1e-3


def require_contract(
    module: nn.Module, inputs: Tensor, outputs: Mapping[str, tuple[int, ...]]
) -> list[Tensor]:
    """Run `module` on `inputs` (N, …) and return its outputs, each (N, *shape) float32.

    `outputs` maps their names to their shapes without the batch. Raises VAEError naming the module,
    the sub-module at fault and the reason when it fails or returns anything else.
    """
    values = as_list(run_module(module, inputs))
    name = module_name(module)
    if len(values) != len(outputs) or not all(isinstance(value, Tensor) for value in values):
        kinds = ", ".join(type(value).__name__ for value in values)
        raise VAEError(f"{name} should return {', '.join(outputs)}; it returns {kinds}")
    for (output, shape), value in zip(outputs.items(), values, strict=True):
        _require_output(f"{name}: {output}", value, (len(inputs), *shape))
    _require_same_alone(module, inputs, values)
    return values


def _require_same_alone(module: nn.Module, inputs: Tensor, values: list[Tensor]) -> None:
    """Raise VAEError where the first input alone gives something else than in its batch."""
    alone = as_list(run_module(module, inputs[:1]))
    is_same = len(alone) == len(values)
    for value, in_batch in zip(alone, values, strict=False):
        is_same = is_same and _is_first_of(value, in_batch)
    if not is_same:
        raise VAEError(
            f"{module_name(module)} gives something else for an input alone than in a batch of "
            f"{len(inputs)}: a bundle's graphs treat each image by itself (a BatchNorm without "
            "running statistics doesn't, nor a branch on the batch size)"
        )


def _is_first_of(value: Any, in_batch: Tensor) -> bool:
    """Whether a module's answer for one input is the first row of that for a batch."""
    if not isinstance(value, Tensor) or value.shape != in_batch[:1].shape:
        return False
    difference = float((value - in_batch[:1]).abs().max())
    # NaN is no small difference.
    return difference <= MAX_BATCH_EFFECT * float(in_batch.abs().max())


def run_module(module: nn.Module, inputs: Tensor) -> Any:
    """What `module` returns for `inputs` (N, …).

    Raises VAEError naming the module, the sub-module at fault and the reason when it fails, and
    where it changes its input.
    """
    with torch.no_grad(), _tracking_submodules(module) as running:
        given = inputs.clone()
        try:
            outputs = module(inputs)
        except FORWARD_ERRORS as error:
            name = module_name(module)
            if running:
                name = f"{name}, in its {running[-1]},"
            size = "×".join(map(str, inputs.shape))
            reason = first_line(error) + _advice(error, running)
            raise VAEError(f"{name} fails on an input of {size}: {reason}") from error
    if not torch.equal(given.nan_to_num(), inputs.nan_to_num()):
        raise VAEError(
            f"{module_name(module)} changes the input that it is given, by an operation in place "
            "such as mul_; let it work on a copy"
        )
    return outputs


def _advice(error: Exception, running: list[str]) -> str:
    """What to do about a forward that wants more than one input, as conditional models do."""
    if running or "required positional argument" not in str(error):
        return ""
    return (
        "; a bundle's encoder takes images alone and its decoder latents alone: give modules in "
        "which the rest, such as a label, is fixed"
    )


def _require_output(name: str, value: Tensor, expected: tuple[int, ...]) -> None:
    shape = tuple(value.shape)
    if shape != expected or value.dtype != torch.float32:
        dtype = str(value.dtype).removeprefix("torch.")
        raise VAEError(
            f"{name} should be float32 {expected} for a batch of {expected[0]}, not {dtype} {shape}"
        )
    if not bool(value.isfinite().all()):
        raise VAEError(f"{name} has values that are not finite")


@contextmanager
def _tracking_submodules(module: nn.Module) -> Iterator[list[str]]:
    """The paths of the sub-modules that are running, outermost first, kept up to date.

    torch calls no hook behind a forward that raises, so after a failure the last path is where it
    happened.
    """
    running: list[str] = []
    handles = []
    for path, submodule in module.named_modules():
        # The module itself has the empty path. TorchScript takes no hooks.
        if path and not isinstance(submodule, torch.jit.ScriptModule):
            handles.append(submodule.register_forward_pre_hook(partial(_enter, running, path)))
            handles.append(submodule.register_forward_hook(partial(_leave, running)))
    try:
        yield running
    finally:
        for handle in handles:
            handle.remove()


def _enter(running: list[str], path: str, *_: object) -> None:
    running.append(path)


def _leave(running: list[str], *_: object) -> None:
    # What a hook returns would take the place of the output.
    running.pop()
