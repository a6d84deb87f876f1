"""The web server behind `vae-run explore`: a few static files and the calls of `calls.py`.

Nothing but the files in FILES is ever read for a request. A page of another site cannot use the
server: a request whose Host is not this server's, or whose Origin is another, is refused (DNS
rebinding, cross-site posts).
"""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Callable, Iterable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from vae_runtime.errors import VAEError
from vae_runtime.explore.addresses import (
    is_address,
    is_everywhere,
    is_loopback,
    normalized,
    own_names,
    reachable_host,
)
from vae_runtime.explore.calls import CALLS, Answer, Request, RequestError

if TYPE_CHECKING:
    from vae_runtime.vae import VAE

FOLDER = Path(__file__).parent
HTML = "text/html; charset=utf-8"
JAVASCRIPT = "text/javascript; charset=utf-8"
CSS = "text/css; charset=utf-8"
FILES = {
    "/": ("index.html", HTML),
    "/explore.js": ("explore.js", JAVASCRIPT),
    "/requests.js": ("requests.js", JAVASCRIPT),
    "/message.js": ("message.js", JAVASCRIPT),
    "/transport.js": ("transport.js", JAVASCRIPT),
    "/paint.js": ("paint.js", JAVASCRIPT),
    "/own.js": ("own.js", JAVASCRIPT),
    "/draw.js": ("draw.js", JAVASCRIPT),
    "/style.css": ("style.css", CSS),
    "/favicon.svg": ("favicon.svg", "image/svg+xml"),
}
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'self'",
        "img-src 'self' blob:",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
IDLE_SECONDS = 30
HTTP_PORT = 80
MAX_PORT = 65535
# More digits than any allowed Content-Length has.
MAX_LENGTH_DIGITS = 12


class ExploreServer(ThreadingHTTPServer):
    """Serves one VAE until `shutdown` is called from another thread; see `open_server`."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, vae: VAE, host: str, port: int, allowed_hosts: Iterable[str] = ()) -> None:
        self.vae = vae
        self.host = host
        self.allowed_hosts = frozenset(normalized(name) for name in allowed_hosts)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), Handler)

    def server_bind(self) -> None:
        """Without HTTPServer's name look-up of the host, which may take seconds."""
        if os.name == "posix":
            # Lets a new server follow an old one at once. Windows would give it a taken port.
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self.address_family == socket.AF_INET6 and is_everywhere(self.host):
            # Every address means those of IPv4 as well.
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name = self.host
        self.server_port = self.server_address[1]

    @property
    def url(self) -> str:
        """Where the page is; of a server that is open to the network, as other machines see it."""
        host = reachable_host() if is_everywhere(self.host) else self.host
        shown = f"[{host}]" if ":" in host else host
        return f"http://{shown}:{self.server_port}/"

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)

    def serves(self, authority: str) -> bool:
        """Whether `authority` (host:port of a Host header or an origin) is this server."""
        parts = urlsplit(f"//{authority}")
        try:
            host = parts.hostname or ""
            port = parts.port or HTTP_PORT
        except ValueError:
            return False
        is_known = self._is_known(normalized(host))
        return is_known and port == self.server_port and not parts.path

    def _is_known(self, host: str) -> bool:
        """Whether a host is this machine.

        A name is accepted only if it is the one bound to, localhost, allowed, or, when the server
        is open to the network, this machine's own. An address is then accepted always: no foreign
        name can stand behind it.
        """
        if not host:
            return False
        if host == normalized(self.host) or is_loopback(host) or host in self.allowed_hosts:
            return True
        if self.is_local:
            return False
        return is_address(host) or host in own_names()


def open_server(
    vae: VAE,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    allowed_hosts: Iterable[str] = (),
    spare_ports: int = 0,
) -> ExploreServer:
    """A server bound to host and port (0: any free one), ready for `serve_forever`.

    `allowed_hosts` are names, besides this machine's own, that browsers may know it by. When the
    port is taken, the first free one of the `spare_ports` after it is used. Raises VAEError when
    the address cannot be had, or the model's images cannot be shown.
    """
    if vae.image_shape[0] not in (1, 3):
        raise VAEError(
            f"{vae.path}: images of {vae.image_shape[0]} channels cannot be shown; 1 and 3 can"
        )
    last = min(port + spare_ports, MAX_PORT)
    candidate = port
    while True:
        try:
            return ExploreServer(vae, host, candidate, allowed_hosts)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or candidate == last:
                ports = f"{port}" if last == port else f"{port} … {last}"
                reason = error.strerror or error
                raise VAEError(f"cannot listen on {host}:{ports}: {reason}") from None
        candidate += 1


class Handler(BaseHTTPRequestHandler):
    """One connection, kept open between the many small requests of a moving pointer."""

    server: ExploreServer
    protocol_version = "HTTP/1.1"
    server_version = "vae-run"
    sys_version = ""
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = True
    # Headers and body leave in one write at the end of an answer: two would wait for the other
    # side's delayed acknowledgement.
    wbufsize = -1

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path in FILES:
            self._answer(lambda: _file(path))
        else:
            self._answer(lambda: self._called("GET"))

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self._answer(lambda: self._called("POST"))

    def _called(self, method: str) -> Answer:
        """The answer of the call at this path. Raises RequestError where there is none."""
        parts = urlsplit(self.path)
        call = CALLS.get(parts.path)
        if call is None or call.method != method:
            # The body of a POST stays unread, so nothing that follows it can be.
            self.close_connection = self.close_connection or method == "POST"
            raise RequestError(HTTPStatus.NOT_FOUND, "there is nothing here")
        query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        body = self._body(call.max_bytes) if method == "POST" else b""
        return call.function(self.server.vae, Request(body, query))

    def _body(self, max_bytes: int) -> bytes:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            self.close_connection = True
            raise RequestError(HTTPStatus.LENGTH_REQUIRED, "a Content-Length is needed")
        if len(length) > MAX_LENGTH_DIGITS or int(length) > max_bytes:
            self.close_connection = True
            raise RequestError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a request holds at most {max_bytes} bytes"
            )
        return self.rfile.read(int(length))

    def _answer(self, make: Callable[[], Answer]) -> None:
        try:
            self._check_origin()
            answer = make()
        except RequestError as refused:
            answer = _error(refused.status, str(refused))
        except (ValueError, TypeError, VAEError) as error:
            answer = _error(HTTPStatus.BAD_REQUEST, str(error))
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        for name, value in HEADERS.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)
        self.wfile.flush()

    def _check_origin(self) -> None:
        hosts = self.headers.get_all("Host", [])
        if len(hosts) != 1 or not self.server.serves(hosts[0]):
            self.close_connection = True
            raise RequestError(HTTPStatus.MISDIRECTED_REQUEST, self._foreign_host())
        origin = self.headers.get("Origin")
        if origin is not None and not self._is_own(origin):
            self.close_connection = True
            raise RequestError(HTTPStatus.FORBIDDEN, "pages of other sites may not use this server")

    def _foreign_host(self) -> str:
        reason = "this server is not that host"
        if self.server.is_local:
            return reason
        return f"{reason}; vae-run explore --allow-host NAME lets it go by a name"

    def _is_own(self, origin: str) -> bool:
        scheme, _, authority = origin.partition("://")
        return scheme == "http" and self.server.serves(authority)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing: the terminal belongs to the user."""


def _file(path: str) -> Answer:
    name, content_type = FILES[path]
    return Answer((FOLDER / name).read_bytes(), content_type)


def _error(status: HTTPStatus, reason: str) -> Answer:
    return Answer(json.dumps({"error": reason}).encode(), "application/json", status)
