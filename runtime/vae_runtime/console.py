"""How every command of this project ends: 0 done, 1 failed with one line on stderr, 2 wrong usage."""

from __future__ import annotations

import os
import signal
import sys

import click

from vae_runtime.errors import VAEError

TERMINATED = 128 + signal.SIGTERM  # the exit status that shells give


def run(command: click.Command, name: str) -> None:
    """Run a click command as a process; expected failures become `Error: …`, never a traceback.

    SIGTERM ends it as Ctrl-C does, so that temporary files are removed.
    """
    _open_closed_streams()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    try:
        result = command.main(prog_name=name, standalone_mode=False)
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else name
        _fail(f"{error.format_message()} (see {where} --help)", 2)
    except click.ClickException as error:
        _fail(error.format_message(), error.exit_code)
    except click.Abort:
        _fail("interrupted", 130)
    except (VAEError, ValueError) as error:
        _fail(str(error), 1)
    except MemoryError:
        _fail("not enough memory for this; ask for fewer or smaller images at once, or for a .npy or a folder", 1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        _fail(f"{error.filename or 'output'}: {error.strerror or error}", 1)
    else:
        sys.exit(result if isinstance(result, int) else 0)


def _open_closed_streams() -> None:
    """A daemon may start a process without stdout or stderr, which Python then sets to None."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - stays open as long as the process


def _fail(message: str, status: int) -> None:
    click.echo(f"Error: {' '.join(message.split())}", err=True)
    sys.exit(status)
