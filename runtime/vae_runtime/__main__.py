"""`vae-run`; also `python -m vae_runtime`."""

from vae_runtime.cli import group
from vae_runtime.console import run


def main() -> None:
    """The console script."""
    run(group, "vae-run")


if __name__ == "__main__":
    main()
