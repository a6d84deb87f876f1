"""`vae-export`; also `python -m vae_export`."""

from __future__ import annotations

from vae_runtime.console import require_extra, run
from vae_train.threads import wait_passively


def main() -> None:
    """The console script."""
    wait_passively()
    require_extra("vae-export", "export", ["torch", "onnx", "onnxscript"])
    # Only now: these modules import torch and onnx.
    from vae_export.cli import command

    run(command, "vae-export")


if __name__ == "__main__":
    main()
