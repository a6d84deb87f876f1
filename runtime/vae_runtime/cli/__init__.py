"""The command line of `vae-run`: one file per group of commands, all imports heavier than click inside them."""

import click

from vae_runtime.cli import explain, explore, generate, transform

group = click.Group(
    "vae-run",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Generate, encode, reconstruct, edit and score images with a variational autoencoder.\n\n"
    "Without -m the embedded model of handwritten digits is used.\n\n"
    "Example: vae-run grid -o grid.png",
)
group = click.version_option(package_name="vae-edge")(group)
for module in (generate, transform, explain, explore):
    for command in module.COMMANDS:
        group.add_command(command)
