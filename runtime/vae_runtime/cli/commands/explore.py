"""`vae-run explore`."""

from __future__ import annotations

import re
import threading
import webbrowser
from pathlib import Path

import click
from click.core import ParameterSource

from vae_runtime.cli.options import ModelOptions, model_options
from vae_runtime.explore import ExploreServer, open_server

POLL_SECONDS = 0.2
# Ports after the default one that are tried where that one is taken.
SPARE_PORTS = 20
HOST_NAME = re.compile(r"[\w.-]+")


def host_names(
    context: click.Context, parameter: click.Parameter, names: tuple[str, ...]
) -> tuple[str, ...]:
    """Refuse what is no plain name: addresses are let in anyway, ports and schemes not compared."""
    for name in names:
        if not HOST_NAME.fullmatch(name):
            raise click.BadParameter(f"{name!r} is not a host name such as board.example.org")
    return names


@click.command("explore")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on. 0.0.0.0: every one, so that phones can open the page.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8765,
    show_default=True,
    help=f"0: any free one. Not given and taken: the next free one of {SPARE_PORTS}.",
)
@click.option(
    "--allow-host",
    "allowed_hosts",
    multiple=True,
    metavar="NAME",
    callback=host_names,
    help="A name that browsers may know this machine by, besides its own. May be repeated.",
)
@click.option(
    "--open/--no-open",
    "opens",
    default=True,
    help="Open the page in the browser.  [default: open]",
)
@click.option(
    "--static",
    "static",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Start no server: write the page with the model in it, for any web server.",
)
@click.option(
    "--page",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="With --static: the page that examples/browser built.",
)
@model_options
@click.pass_context
def command(
    context: click.Context,
    host: str,
    port: int,
    allowed_hosts: tuple[str, ...],
    opens: bool,
    static: Path | None,
    page: Path | None,
    model: ModelOptions,
) -> None:
    """Open a web page to move over the latent space.

    Only this machine can reach it, unless --host opens it to others. Ctrl-C ends it.

    Example: vae-run explore --port 8765
    """
    if static is not None:
        _write_page(static, page, model)
        return
    if page is not None:
        raise click.UsageError("--page goes with --static")
    vae = model.load()
    vae.require_vectors("explore")
    vae.verify()
    is_default_port = context.get_parameter_source("port") == ParameterSource.DEFAULT
    spare_ports = SPARE_PORTS if is_default_port else 0
    with open_server(
        vae, host, port, allowed_hosts=allowed_hosts, spare_ports=spare_ports
    ) as server:
        if is_default_port and server.server_port != port:
            click.echo(f"Port {port} is taken, so it is {server.server_port}", err=True)
        if not server.is_local:
            click.echo(
                f"Warning: bound to {host}, so other machines can use this page and the model",
                err=True,
            )
        _serve(server, opens)


def _serve(server: ExploreServer, opens: bool) -> None:
    """Answer requests until Ctrl-C."""
    click.echo(f"{server.url} (Ctrl-C ends it)")
    if opens:
        _open_browser(server.url)
    try:
        server.serve_forever(poll_interval=POLL_SECONDS)
    except KeyboardInterrupt:
        click.echo("", err=True)


def _write_page(target: Path, page: Path | None, model: ModelOptions) -> None:
    from vae_runtime.explore.static_page import BUILT_PAGE, BUNDLE_FOLDER, write_static_page

    vae = model.load()
    vae.verify()
    write_static_page(target, vae.storage, page or BUILT_PAGE)
    click.echo(f"{target}: the page, and the bundle in {BUNDLE_FOLDER}")


def _open_browser(url: str) -> None:
    # Some browsers are waited for; the server is to answer meanwhile.
    threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
