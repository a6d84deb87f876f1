"""`vae-train` and `vae-eval`; also `python -m vae_train`, which trains."""

from __future__ import annotations

from vae_runtime.console import require_extra, run

REQUIRED_MODULES = ("torch", "tqdm")


def main() -> None:
    """Run the console script `vae-train`."""
    require_extra("vae-train", "train", REQUIRED_MODULES)
    from vae_train.cli import train_command

    run(train_command, "vae-train")


def evaluate() -> None:
    """Run the console script `vae-eval`."""
    require_extra("vae-eval", "train", REQUIRED_MODULES)
    from vae_train.cli import evaluate_command

    run(evaluate_command, "vae-eval")


if __name__ == "__main__":
    main()
