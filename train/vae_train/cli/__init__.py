"""The commands `vae-train` and `vae-eval`, one file each."""

from vae_train.cli.evaluate import evaluate_command
from vae_train.cli.train import train_command

__all__ = ["evaluate_command", "train_command"]
