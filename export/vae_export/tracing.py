"""What stands around torch's exporter: silence, and what it would get wrong set right."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

NOISY_LOGGERS = (
    "torch.onnx",
    "onnxscript",
    "onnx_ir",
    "torch.export",
    "torch.fx",
    "torch._subclasses",
)


@contextmanager
def tracing() -> Iterator[None]:
    """Trace a module inside of this."""
    constants = _constants_of_rules()
    if not constants:
        warnings.warn(
            "additions of numbers below 1e-8 may be lost with this version of onnxscript: its "
            "rules for x + 0 were not found",
            stacklevel=2,
        )
    with (
        _quiet(),
        _partial_graph_unprinted(),
        _small_numbers_kept(constants),
        _OneHead(),
        torch.no_grad(),
    ):
        yield


class _OneHead(TorchFunctionMode):
    """Attention of (N, L, E) as that of (N, 1, L, E), the only one that torch's exporter knows."""

    def __torch_function__(
        self,
        func: Any,
        types: Sequence[Any],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        is_attention = func is torch.nn.functional.scaled_dot_product_attention
        tensors = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
        if not is_attention or any(tensor.ndim != 3 for tensor in tensors[:3]):
            return func(*args, **kwargs)
        args = tuple(map(_with_head, args))
        kwargs = {name: _with_head(value) for name, value in kwargs.items()}
        return func(*args, **kwargs).squeeze(1)


def _with_head(value: Any) -> Any:
    """(N, L, E) -> (N, 1, L, E); masks (L, S), and what is no tensor, as they are."""
    return value.unsqueeze(1) if isinstance(value, Tensor) and value.ndim == 3 else value


@contextmanager
def _quiet() -> Iterator[None]:
    """Turn torch's own warnings and log lines off, and back to what they were afterwards."""
    # A distribution that checks its arguments looks at values, which no graph can.
    distributions = torch.distributions.Distribution
    checks_arguments = distributions._validate_args
    distributions.set_default_validate_args(False)
    loggers = [logging.getLogger(name) for name in NOISY_LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        distributions.set_default_validate_args(checks_arguments)
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def _partial_graph_unprinted() -> Iterator[None]:
    """Keep the partial graph off stderr that torch.export prints before it raises.

    There is no way to ask it not to (torch/export/_trace.py). Whatever is printed without an
    exception is passed on.
    """
    with contextlib.redirect_stderr(io.StringIO()) as printed:
        yield
    sys.stderr.write(printed.getvalue())


@contextmanager
def _small_numbers_kept(constants: list[Any]) -> Iterator[None]:
    """Keep the additions of small numbers that torch's exporter would take for nothing.

    Its rules for x + 0 and x · 1 also fit constants within 1e-8 and 1 + 1e-5 (onnxscript,
    rewriter/_pattern_ir.py), and a division by x + 1e-8 became one by zero.
    """
    tolerances = [(constant._abs_tol, constant._rel_tol) for constant in constants]
    for constant in constants:
        constant._abs_tol = constant._rel_tol = 0.0
    try:
        yield
    finally:
        for constant, (absolute, relative) in zip(constants, tolerances, strict=True):
            constant._abs_tol = absolute
            constant._rel_tol = relative


def _constants_of_rules() -> list[Any]:
    """The patterns of numbers in those rules; none where onnxscript keeps them elsewhere."""
    try:
        no_op = importlib.import_module("onnxscript.rewriter.rules.common._no_op")
        nodes = [node for rule in no_op.rules for node in rule._target_pattern]
        inputs = [value for node in nodes for value in node.inputs]
    except (ImportError, AttributeError):
        return []
    return [value for value in inputs if hasattr(value, "_abs_tol")]
