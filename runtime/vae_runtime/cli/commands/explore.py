"""`vae-run explore`."""

from __future__ import annotations

import threading
import webbrowser

import click

from vae_runtime.cli.options import ModelOptions, model_options
from vae_runtime.explore import open_server

POLL_SECONDS = 0.2


@click.command("explore")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8765,
    show_default=True,
    help="0: any free one.",
)
@click.option(
    "--open/--no-open",
    "opens",
    default=True,
    help="Open the page in the browser.  [default: open]",
)
@model_options
def command(host: str, port: int, opens: bool, model: ModelOptions) -> None:
    """Open a web page to move over the latent space.

    Only this machine can reach it. Ctrl-C ends it.

    Example: vae-run explore --port 8765
    """
    vae = model.load()
    vae.verify()
    with open_server(vae, host, port) as server:
        click.echo(f"{server.url} (Ctrl-C ends it)")
        if not server.is_local:
            click.echo(
                f"Warning: bound to {host}, so other machines can use this page and the model",
                err=True,
            )
        if opens:
            _open_browser(server.url)
        try:
            server.serve_forever(poll_interval=POLL_SECONDS)
        except KeyboardInterrupt:
            click.echo("", err=True)


def _open_browser(url: str) -> None:
    # Some browsers are waited for; the server is to answer meanwhile.
    threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
