"""`vae-run`; also `python -m vae_runtime`."""

import os
import sys

from vae_runtime.cli import group
from vae_runtime.console import run


def main() -> None:
    """The console script."""
    try:
        run(group, "vae-run")
    except SystemExit as end:
        # Everything is written and closed by now; taking the interpreter and onnxruntime apart would last as long as
        # decoding a few hundred digits.
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except OSError:  # nobody reads any more
            os._exit(end.code if isinstance(end.code, int) and end.code else 1)
        os._exit(end.code if isinstance(end.code, int) else 0)


if __name__ == "__main__":
    main()
