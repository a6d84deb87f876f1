"""Options that commands share, and the model that they name."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from vae_runtime.vae import VAE

Command = TypeVar("Command", bound=Callable[..., Any])


class _Path(click.Path):
    """A path that isn't empty, as an unset variable of the shell's is."""

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        if value == "":
            self.fail("the name is empty", parameter, context)
        return super().convert(value, parameter, context)


PATH = _Path(path_type=Path)


def model_options(command: Command) -> Command:
    """-m, --provider, --precision, --threads: passed on as one dict `model`, for `load_model`."""
    for option in reversed(
        (
            click.option("--model", "-m", "bundle", type=PATH, help="A bundle; default: the embedded digits."),
            click.option("--provider", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or a name."),
            click.option("--precision", type=click.Choice(["fp32", "int8", "auto"]), default="fp32", show_default=True),
            click.option("--threads", type=click.IntRange(1), help="Default: the CPUs this process may use."),
        )
    ):
        command = option(command)
    return command


def load_model(options: dict[str, Any]) -> VAE:
    """Take the model options out of a command's arguments and load the VAE that they describe."""
    import warnings

    import vae_runtime

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        vae = vae_runtime.load(
            options.pop("bundle"),
            provider=options.pop("provider"),
            precision=options.pop("precision"),
            threads=options.pop("threads"),
        )
    for warning in caught:
        click.echo(f"Warning: {warning.message}", err=True)
    return vae


def output_option(default: str) -> Callable[[Command], Command]:
    return click.option(
        "--output", "-o", type=PATH, default=Path(default), show_default=True,
        help="A .png sheet, a .npy array, or a folder with one PNG per image; - is stdout.",
    )  # fmt: skip


force_option = click.option("--force", is_flag=True, help="Write into a folder that isn't empty.")
seed_option = click.option("--seed", type=click.IntRange(0), help="Default: drawn, and printed.")
count_option = click.option("-n", "count", type=click.IntRange(1), default=16, show_default=True, help="How many.")


def pair(number: type) -> Callable[..., Any]:
    """A callback that reads two numbers with a comma between them."""

    def convert(context: click.Context, parameter: click.Parameter, value: str | None) -> Any:
        if value is None:
            return None
        try:
            first, second = (number(part) for part in value.split(","))
        except ValueError:
            first = second = math.nan
        if not (math.isfinite(first) and math.isfinite(second)):
            raise click.BadParameter(f"{value!r} is not two numbers with a comma between them")
        return first, second

    return convert


def finite(context: click.Context, parameter: click.Parameter, value: float) -> float:
    """A callback that refuses NaN and infinity."""
    if not math.isfinite(value):
        raise click.BadParameter(f"{value:g} is not a finite number")
    return value


def require_suffix(output: Path, *suffixes: str) -> None:
    """Raise UsageError, before any work, for an output file of another kind; - is stdout."""
    if str(output) != "-" and output.suffix.lower() not in suffixes:
        raise click.UsageError(f"{output}: this output is a file that ends in {' or '.join(suffixes)}")


def drawn_seed(seed: int | None) -> int:
    """The seed asked for, or a fresh one, which is printed so that the result can be had again."""
    if seed is not None:
        return seed
    import secrets

    fresh = secrets.randbits(31)
    click.echo(f"seed {fresh}", err=True)
    return fresh


def progress_wanted() -> bool:
    return sys.stderr.isatty()
