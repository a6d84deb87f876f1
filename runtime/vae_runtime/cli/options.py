"""Options that commands share, and the records that they arrive in."""

from __future__ import annotations

import dataclasses
import functools
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from vae_runtime.engine.precision import PRECISIONS, Precision

if TYPE_CHECKING:
    from vae_runtime.vae import VAE

Function = TypeVar("Function", bound=Callable[..., Any])
Decorator = Callable[[Function], Function]

STDOUT = Path("-")
STDIN = Path("-")
MAX_SEED_BITS = 31
OwnSize = Literal["own"]
# What --size says in place of H,W: the pictures' own size.
OWN_SIZE: OwnSize = "own"


class NonEmptyPath(click.Path):
    """A path that isn't empty, as an unset variable of the shell's is."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> Any:
        if value == "":
            self.fail("the name is empty", parameter, context)
        return super().convert(value, parameter, context)


def number_pair(number: type[int] | type[float]) -> Callable[..., Any]:
    """A callback that reads two finite numbers with a comma between them, such as 0,1."""

    def convert(context: click.Context, parameter: click.Parameter, value: str | None) -> Any:
        if value is None:
            return None
        try:
            first, second = [number(part) for part in value.split(",")]
        except ValueError:
            first = second = math.nan
        if not (math.isfinite(first) and math.isfinite(second)):
            raise click.BadParameter(f"{value!r} is not two numbers with a comma between them")
        return first, second

    return convert


def image_size(context: click.Context, parameter: click.Parameter, value: str | None) -> Any:
    """A callback that reads H,W or the word for the pictures' own size."""
    if value == OWN_SIZE:
        return OWN_SIZE
    return number_pair(int)(context, parameter, value)


def finite(context: click.Context, parameter: click.Parameter, value: float) -> float:
    """A callback that refuses NaN and infinity."""
    if not math.isfinite(value):
        raise click.BadParameter(f"{value:g} is not a finite number")
    return value


PATH = NonEmptyPath()


@dataclass(frozen=True)
class ModelOptions:
    """-m, --provider, --precision and --threads, as `model_options` reads them."""

    bundle: Path | None
    provider: str
    precision: Precision
    threads: int | None

    def load(self, size: tuple[int, int] | None = None) -> VAE:
        """The VAE that they describe; what the loader warns of goes to stderr in one line each.

        `size` (H, W) is that of the images, None the bundle's own.
        """
        import vae_runtime

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            vae = vae_runtime.load(
                self.bundle,
                provider=self.provider,
                precision=self.precision,
                threads=self.threads,
            )
        for warning in caught:
            click.echo(f"Warning: {warning.message}", err=True)
        return vae if size is None else vae.of_size(*size)


def model_options(command: Function) -> Function:
    """Add -m, --provider, --precision and --threads, which the command gets as `model`."""
    options = (
        click.option(
            "--model", "-m", "bundle", type=PATH, help="A bundle; default: the embedded digits."
        ),
        click.option(
            "--provider",
            default="auto",
            show_default=True,
            help="auto, cpu, cuda, cuda:N or a name.",
        ),
        click.option(
            "--precision", type=click.Choice(PRECISIONS), default="fp32", show_default=True
        ),
        click.option(
            "--threads",
            type=click.IntRange(1),
            help="Default: the CPUs this process may use.",
        ),
    )
    return add_as_record(command, "model", ModelOptions, options)


def output_option(default: str) -> Decorator[Any]:
    """-o for a command that makes images."""
    return click.option(
        "--output",
        "-o",
        type=PATH,
        default=Path(default),
        show_default=True,
        help="A .png sheet, a .npy array, or a folder with one PNG per image; - is stdout.",
    )


scale_option = click.option(
    "--scale",
    type=click.IntRange(1, 32),
    help="Pixels per pixel.  [default: a picture some 600 wide; 1 in a folder]",
)


force_option = click.option("--force", is_flag=True, help="Write into a folder that isn't empty.")
seed_option = click.option("--seed", type=click.IntRange(0), help="Default: drawn, and printed.")
captions_option = click.option(
    "--captions", is_flag=True, help="Write above each column what it shows."
)
refine_option = click.option(
    "--refine",
    "inference",
    flag_value="refined",
    default="encoder",
    help="Search by decoding for better latents than the encoder's.",
)
picture_size_option = click.option(
    "--size",
    callback=image_size,
    metavar=f"H,W|{OWN_SIZE}",
    help=f"Of the images, for a bundle of a dynamic size; {OWN_SIZE}: the pictures' own, "
    "rounded down to its stride; default: the bundle's.",
)
size_option = click.option(
    "--size",
    callback=number_pair(int),
    metavar="H,W",
    help="Of the images, for a bundle of a dynamic size; default: the bundle's own.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
count_option = click.option(
    "-n", "count", type=click.IntRange(1), default=16, show_default=True, help="How many."
)
columns_option = click.option(
    "--columns",
    type=click.IntRange(1),
    help="Tiles per row.  [default: as square as it gets]",
)


def is_stdout(output: Path) -> bool:
    """Whether -o names stdout."""
    return output == STDOUT


def require_suffix(output: Path, *suffixes: str) -> None:
    """Raise UsageError, before any work, for an output file of another kind; - is stdout."""
    if not is_stdout(output) and output.suffix.lower() not in suffixes:
        allowed = " or ".join(suffixes)
        raise click.UsageError(f"{output}: this output is a file that ends in {allowed}")


def drawn_seed(seed: int | None) -> int:
    """The seed asked for, or a fresh one, which is printed so that the result can be had again."""
    if seed is not None:
        return seed
    # It loads OpenSSL, which a run with a seed doesn't need.
    import secrets

    fresh = secrets.randbits(MAX_SEED_BITS)
    click.echo(f"seed {fresh}", err=True)
    return fresh


def add_as_record(
    command: Function, name: str, record: type[Any], options: tuple[Decorator[Any], ...]
) -> Function:
    """Add options to a command, which gets their values as one `record`, called `name`."""
    fields = [field.name for field in dataclasses.fields(record)]

    @functools.wraps(command)
    def with_record(*arguments: Any, **values: Any) -> Any:
        own = {field: values.pop(field) for field in fields}
        return command(*arguments, **values, **{name: record(**own)})

    decorated: Any = with_record
    # The last decorator applied stands first in the help.
    for option in reversed(options):
        decorated = option(decorated)
    result: Function = decorated
    return result
