"""Somebody's VAE by the name of a factory on the command line, `package.module:factory`."""

from __future__ import annotations

import contextlib
import importlib
import io
import sys
from collections.abc import Iterator
from typing import Any

from torch import nn

from vae_export.torch_modules import first_line, modules_of_this_folder
from vae_runtime.errors import VAEError

Modules = tuple[nn.Module, ...]


def make_modules(factory: str) -> Modules:
    """What `package.module:factory` gives: one whole VAE, or a pair of encoder and decoder.

    The factory takes no arguments; a module object in its place is taken as it is. Raises VAEError
    with the reason where it cannot be imported or called, or gives something else.
    """
    module_name, _, function_name = factory.partition(":")
    with _as_a_script_expects_it(factory, module_name):
        made = _attribute(importlib.import_module(module_name), function_name)
        if not isinstance(made, nn.Module):
            made = made()
    modules = made if isinstance(made, tuple | list) else (made,)
    if len(modules) not in (1, 2) or not all(isinstance(item, nn.Module) for item in modules):
        raise VAEError(
            f"{factory}: gives a {type(made).__name__}; a torch.nn.Module, or a pair of them "
            "(encoder, decoder), was expected"
        )
    return tuple(modules)


def _attribute(module: Any, name: str) -> Any:
    for part in name.split("."):
        module = getattr(module, part)
    return module


@contextlib.contextmanager
def _as_a_script_expects_it(factory: str, module_name: str) -> Iterator[None]:
    """Modules of the current folder are found, as `python -m` finds them.

    A script that reads its command line while it is imported finds none, for ours isn't meant for
    it. Whatever it raises becomes one line.
    """
    arguments = sys.argv
    sys.argv = [module_name]
    try:
        with modules_of_this_folder(), contextlib.redirect_stderr(io.StringIO()) as printed:
            yield
    except SystemExit as error:
        lines = printed.getvalue().strip().splitlines()
        reason = lines[-1] if lines else f"it ended the program with {error.code}"
        raise VAEError(
            f"{factory}: {module_name} runs as a script when it is imported: {reason}; put that "
            'under if __name__ == "__main__"'
        ) from None
    except Exception as error:
        raise VAEError(
            f"{factory}: cannot be called: {type(error).__name__}: {first_line(error)}"
        ) from error
    finally:
        sys.argv = arguments
    sys.stderr.write(printed.getvalue())
