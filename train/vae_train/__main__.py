"""`vae-train` and `vae-eval`; also `python -m vae_train`, which trains."""

from __future__ import annotations

from vae_runtime.console import run
from vae_train.threads import wait_passively


def main() -> None:
    """Run the console script `vae-train`."""
    wait_passively()
    from vae_train.cli.train import train_command

    run(train_command, "vae-train")


def evaluate() -> None:
    """Run the console script `vae-eval`."""
    wait_passively()
    from vae_train.cli.evaluate import evaluate_command

    run(evaluate_command, "vae-eval")


if __name__ == "__main__":
    main()
