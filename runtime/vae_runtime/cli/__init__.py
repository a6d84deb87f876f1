"""The command line of `vae-run`: one file per command, imported when the command is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

import click

from vae_runtime.console import CONTEXT_SETTINGS
from vae_runtime.memory_limits import respect_memory_limits


@dataclass(frozen=True)
class CommandEntry:
    """Where a command is, the module in `commands/` that has it as `command`, and its help."""

    module: str
    short_help: str


# In the order of the help text.
COMMANDS = {
    "grid": CommandEntry("grid", "Draw the latent space: each cell decodes one point."),
    "sample": CommandEntry("sample", "Draw random images."),
    "decode": CommandEntry("decode", "Draw the images of a latent file."),
    "digits": CommandEntry("digits", "Write a text in generated images of its characters."),
    "encode": CommandEntry("encode", "Print or store the latents of images."),
    "reconstruct": CommandEntry("reconstruct", "Draw images beside their reconstructions."),
    "interpolate": CommandEntry("interpolate", "Morph one image into the next."),
    "edit": CommandEntry("edit", 'Add or remove a concept, such as "eight".'),
    "concepts": CommandEntry("concepts", "List the concepts of a bundle."),
    "learn-concept": CommandEntry("learn_concept", "Learn a concept from two folders of images."),
    "plot": CommandEntry("plot", "Scatter images in latent space, colored by label."),
    "info": CommandEntry("info", "Describe a bundle and verify its files."),
    "check": CommandEntry("check", "Compare this device's outputs with torch's."),
    "score": CommandEntry("score", "Score images by their ELBO; find anomalies."),
    "bench": CommandEntry("bench", "Measure latency and throughput on this machine."),
    "ray": CommandEntry("ray", "Compute whole data sets on Ray, on this machine or a cluster."),
    "explore": CommandEntry("explore", "Open a web page to move over the latent space."),
}


class LazyGroup(click.Group):
    """A group that imports only the command at hand, and none for its help.

    See click's "Lazily loading subcommands".
    """

    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        respect_memory_limits()
        module = import_module(f"vae_runtime.cli.commands.{COMMANDS[name].module}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, context: click.Context, arguments: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = arguments[0]
        if name not in COMMANDS:
            # Only here: a right command doesn't need it.
            from difflib import get_close_matches

            close = get_close_matches(name, COMMANDS, n=1)
            if close:
                context.fail(f"No such command {name!r}. Did you mean {close[0]!r}?")
        return super().resolve_command(context, arguments)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name, entry.short_help) for name, entry in COMMANDS.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


@click.group(
    "vae-run",
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings=CONTEXT_SETTINGS,
)
@click.version_option(package_name="vae-edge")
@click.pass_context
def group(context: click.Context) -> None:
    """Generate, encode, reconstruct, edit and score images with a variational autoencoder.

    Without -m the embedded model of handwritten digits is used.

    Example: vae-run grid -o grid.png
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
