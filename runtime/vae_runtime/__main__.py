"""`vae-run`; also `python -m vae_runtime`."""

from vae_runtime.cli import group
from vae_runtime.console import run
from vae_runtime.fast import exit_at_once


def main() -> None:
    """The console script."""
    try:
        run(group, "vae-run")
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0
        exit_at_once(status)


if __name__ == "__main__":
    main()
