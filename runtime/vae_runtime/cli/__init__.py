"""The command line of `vae-run`: one file per group of commands, imported when one of its commands is asked for."""

from __future__ import annotations

from importlib import import_module

import click

# In the order of the help text; each module has the commands it is named for in COMMANDS.
MODULES = {
    "generate": ("grid", "sample", "decode", "digits"),
    "transform": ("encode", "reconstruct", "interpolate", "edit", "concepts", "plot"),
    "explain": ("info", "check", "score", "bench"),
    "explore": ("explore",),
}


class _Group(click.Group):
    """A group that imports only what the command at hand needs."""

    def list_commands(self, context: click.Context) -> list[str]:
        return [name for names in MODULES.values() for name in names]

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        for module, names in MODULES.items():
            if name in names:
                found = import_module(f"vae_runtime.cli.{module}")
                commands: dict[str, click.Command] = {command.name: command for command in found.COMMANDS}
                return commands[name]
        return None


def _help_alone(context: click.Context) -> None:
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


group = _Group(
    "vae-run",
    callback=click.pass_context(_help_alone),
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Generate, encode, reconstruct, edit and score images with a variational autoencoder.\n\n"
    "Without -m the embedded model of handwritten digits is used.\n\n"
    "Example: vae-run grid -o grid.png",
)
group = click.version_option(package_name="vae-edge")(group)
