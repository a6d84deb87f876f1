"""How every command ends: with an exit status, and one line on stderr where it failed."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from vae_runtime.errors import VAEError
from vae_runtime.memory_limits import is_out_of_memory

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 128 + signal.SIGTERM  # The status that shells give.

OUT_OF_MEMORY = (
    "not enough memory for this; ask for fewer or smaller images at once, or for a .npy or a "
    "folder; commands that read photographs have --max-pixels 4000000, which reads them smaller"
)
# For every command of the project.
CONTEXT_SETTINGS = {"help_option_names": ["-h", "--help"]}


def run(command: click.Command, name: str) -> NoReturn:
    """Run a click command as a process; expected failures become `Error: …`, never a traceback.

    SIGTERM ends it as Ctrl-C does, so that temporary files are removed.
    """
    _open_closed_streams()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(EXIT_TERMINATED))
    try:
        result = command.main(prog_name=name, standalone_mode=False)
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else name
        _fail(f"{error.format_message()} (see {where} --help)", EXIT_USAGE)
    except click.ClickException as error:
        _fail(error.format_message(), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        # Some press Ctrl-C again; what is left to do is quickly done.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _fail("interrupted", EXIT_INTERRUPTED)
    except VAEError as error:
        _fail(str(error), EXIT_FAILED)
    except ValueError as error:
        # Arguments that the API refuses were wrong on the command line.
        _fail(str(error), EXIT_USAGE)
    except MemoryError:
        _fail(OUT_OF_MEMORY, EXIT_FAILED)
    except ImportError as error:
        if not is_out_of_memory(error):
            raise
        _fail(OUT_OF_MEMORY, EXIT_FAILED)
    except BrokenPipeError:
        # Nobody reads any more; what Python flushes at its end must go somewhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_FAILED)
    except OSError as error:
        _fail(f"{error.filename or 'output'}: {error.strerror or error}", EXIT_FAILED)
    sys.exit(result if isinstance(result, int) else 0)


def require_extra(command: str, extra: str, modules: Sequence[str]) -> None:
    """End the process with one line where a module that an extra brings is missing."""
    for module in modules:
        try:
            importlib.import_module(module)
        except ModuleNotFoundError:
            _fail(f'{command} needs {module}: pip install ".[{extra}]"', EXIT_FAILED)


def _open_closed_streams() -> None:
    """A daemon may start a process without stdout or stderr, which Python then sets to None."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = open(os.devnull, mode)  # noqa: SIM115 - stays open as long as the process
            setattr(sys, name, stream)


def _fail(message: str, status: int) -> NoReturn:
    click.echo(f"Error: {' '.join(message.split())}", err=True)
    sys.exit(status)
