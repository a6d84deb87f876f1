"""The web server behind `vae-run explore`: four static files and four calls on one VAE.

Nothing but the files in FILES is ever read for a request. A page of another site cannot use the server: a request
whose Host is not this server's, or whose Origin is another, is refused (DNS rebinding, cross-site posts).
"""

from __future__ import annotations

import ipaddress
import json
import socket
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qs, urlsplit

from vae_runtime.errors import VAEError
from vae_runtime.explore.calls import CALLS, JSON_LIMIT, Answer, RequestError, model

if TYPE_CHECKING:
    from vae_runtime.vae import VAE

FOLDER = Path(__file__).parent
FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/explore.js": ("explore.js", "text/javascript; charset=utf-8"),
    "/style.css": ("style.css", "text/css; charset=utf-8"),
    "/favicon.svg": ("favicon.svg", "image/svg+xml"),
}
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
IDLE_SECONDS = 30


class ExploreServer(ThreadingHTTPServer):
    """Serves one VAE until `shutdown` is called from another thread; see `open_server`."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, vae: VAE, host: str, port: int) -> None:
        self.vae, self.host = vae, host
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), Handler)

    def server_bind(self) -> None:
        """Without HTTPServer's name look-up of the host, which may take seconds."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = self.host, self.server_address[1]

    @property
    def url(self) -> str:
        """Where the page is."""
        shown = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{shown}:{self.server_port}/"

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)

    def serves(self, authority: str) -> bool:
        """Whether `authority` (host:port of a Host header or an origin) is this server.

        A name is accepted only if it is the one bound to, localhost, or this machine's own; an address, when the
        server is open to the network, always: no foreign name can stand behind it.
        """
        parts = urlsplit(f"//{authority}")
        try:
            host, port = parts.hostname or "", parts.port or 80
        except ValueError:
            return False
        names = {self.host.lower(), "localhost"} | (set() if self.is_local else {socket.gethostname().lower()})
        known = host in names or is_loopback(host) or (not self.is_local and _is_address(host))
        return known and port == self.server_port and not parts.path


def open_server(vae: VAE, host: str = "127.0.0.1", port: int = 0) -> ExploreServer:
    """A server bound to host and port (0: any free one), ready for `serve_forever`.

    Raises VAEError when the address cannot be had, or the model's images cannot be shown.
    """
    if vae.image_shape[0] not in (1, 3):
        raise VAEError(f"{vae.path}: images of {vae.image_shape[0]} channels cannot be shown; 1 and 3 can")
    try:
        return ExploreServer(vae, host, port)
    except OSError as error:
        raise VAEError(f"cannot listen on {host}:{port}: {error.strerror or error}") from None


def is_loopback(host: str) -> bool:
    """Whether a host name or address reaches only this machine."""
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class Handler(BaseHTTPRequestHandler):
    """One connection, kept open between the many small requests of a moving pointer."""

    server: ExploreServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "vae-run", ""
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path == "/api/model":
            self._answer(lambda: model(self.server.vae))
        elif path in FILES:
            name, kind = FILES[path]
            self._answer(lambda: Answer((FOLDER / name).read_bytes(), kind))
        else:
            self._answer(_missing)

    do_HEAD = do_GET  # noqa: N815

    def do_POST(self) -> None:
        parts = urlsplit(self.path)
        if parts.path not in CALLS:
            self.close_connection = True  # its body is not read
            self._answer(_missing)
            return
        call, limit = CALLS[parts.path]

        def run() -> Answer:
            options = {key: values[-1] for key, values in parse_qs(parts.query).items()}
            return call(self.server.vae, self._body(limit), options)

        self._answer(run)

    def _body(self, limit: int = JSON_LIMIT) -> bytes:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            self.close_connection = True
            raise RequestError(HTTPStatus.LENGTH_REQUIRED, "a Content-Length is needed")
        if len(length) > 12 or int(length) > limit:
            self.close_connection = True
            raise RequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a request holds at most {limit} bytes")
        return self.rfile.read(int(length))

    def _answer(self, call: Callable[[], Answer]) -> None:
        try:
            self._check_origin()
            answer = call()
        except RequestError as refused:
            answer = _error(refused.status, str(refused))
        except (ValueError, TypeError, VAEError) as error:
            answer = _error(HTTPStatus.BAD_REQUEST, str(error))
        self.send_response(answer.status)
        headers = HEADERS | {"Content-Type": answer.kind, "Content-Length": str(len(answer.body))}
        if self.close_connection:
            headers["Connection"] = "close"
        for name, value in headers.items():
            self.send_header(name, value)
        # Headers and body in one write: two would wait for the other side's delayed acknowledgement.
        body = b"" if self.command == "HEAD" else answer.body
        cast(list[bytes], self._headers_buffer).extend((b"\r\n", body))  # type: ignore[attr-defined]
        self.flush_headers()

    def _check_origin(self) -> None:
        hosts = self.headers.get_all("Host", [])
        origin = self.headers.get("Origin")
        if len(hosts) != 1 or not self.server.serves(hosts[0]):
            self.close_connection = True
            raise RequestError(HTTPStatus.MISDIRECTED_REQUEST, "this server is not that host")
        if origin is not None and not (
            origin.startswith("http://") and self.server.serves(origin.removeprefix("http://"))
        ):
            self.close_connection = True
            raise RequestError(HTTPStatus.FORBIDDEN, "pages of other sites may not use this server")

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing: the terminal belongs to the user."""


def _missing() -> Answer:
    raise RequestError(HTTPStatus.NOT_FOUND, "there is nothing here")


def _error(status: HTTPStatus, reason: str) -> Answer:
    return Answer(json.dumps({"error": reason}).encode(), "application/json", status)
