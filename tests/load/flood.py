"""What strangers do to a web server: python -m tests.load.flood HOST:PORT.

Malformed requests, slow clients, 200 connections, 100 MiB uploads, tricks with chunks, floods of
headers, foreign names, pipelining. `PROBES` takes any server of HTTP/1.1; each probe returns what
was wrong. The server is right when it refuses or answers, and serves an ordinary request after it.
"""

from __future__ import annotations

import http.client
import random
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

import click

PATIENCE = 20
CONNECTIONS = 200
UPLOAD_BYTES = 100 << 20
BLOCK = b"x" * (1 << 16)
STATUS_LINE = b"HTTP/1."
MALFORMED = (
    b"",
    b"\r\n\r\n",
    b"GET\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET http://other.example/ HTTP/1.1\r\n\r\n",
    b"GET /\x00 HTTP/1.1\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
    b"BREW /pot HTTP/1.1\r\n\r\n",
    b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\n: nameless\r\n\r\n",
    b"GET / HTTP/1.1\nHost: \xff\xfe\n\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
)
FOREIGN = ("evil.example", "evil.example:{port}", "127.0.0.1.evil.example:{port}", "[::2]:{port}")


@dataclass(frozen=True)
class Target:
    """A server, and a request that it should answer with 200."""

    host: str
    port: int
    path: str = "/"

    @property
    def authority(self) -> str:
        return f"{self.host}:{self.port}"

    @contextmanager
    def connected(self) -> Iterator[socket.socket]:
        with socket.create_connection((self.host, self.port), PATIENCE) as connection:
            yield connection

    def status(self, **headers: str) -> int:
        """What the ordinary request is answered with."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE)
        try:
            connection.request("GET", self.path, headers=headers)
            response = connection.getresponse()
            response.read()
            return response.status
        finally:
            connection.close()

    def reply(self, content: bytes) -> bytes:
        """All that comes back for some bytes, until the server closes or waits for more."""
        with self.connected() as connection:
            # It may close before everything has left.
            with suppress(OSError):
                connection.sendall(content)
                connection.shutdown(socket.SHUT_WR)
            return received(connection)


def received(connection: socket.socket) -> bytes:
    content = b""
    with suppress(OSError):
        while block := connection.recv(1 << 16):
            content += block
    return content


def malformed(target: Target) -> list[str]:
    """Requests that are none, and random bytes; an answer of success is wrong."""
    rng = random.Random(0)
    requests = [*MALFORMED, *(rng.randbytes(rng.randrange(1, 2000)) for _ in range(50))]
    wrong = []
    for request in requests:
        reply = target.reply(request)
        is_refused = not reply or (reply.startswith(STATUS_LINE) and reply[9:10] in b"45")
        # HTTP/0.9 and errors of the first line have no status line.
        if not is_refused and b"Error code: 4" not in reply and b"Error code: 5" not in reply:
            wrong.append(f"{request[:40]!r} is answered with {reply[:40]!r}")
    return wrong


def many_connections(target: Target) -> list[str]:
    """Connections that stay open and silent, and beside them one that works."""
    with ExitStack() as stack:
        for _ in range(CONNECTIONS):
            stack.enter_context(target.connected())
        return _defects(target.status() != 200, "beside silent connections it doesn't answer")


def slow_clients(target: Target) -> list[str]:
    """Requests that come byte by byte, and answers that nobody fetches."""
    with ExitStack() as stack:
        clients = [stack.enter_context(target.connected()) for _ in range(20)]
        for byte in f"GET {target.path} HTTP/1.1\r\nHost: ".encode():
            for client in clients:
                client.sendall(bytes([byte]))
            time.sleep(0.01)
        return _defects(target.status() != 200, "beside slow clients it doesn't answer")


def large_upload(target: Target) -> list[str]:
    """100 MiB, announced and then sent all the same."""
    head = f"POST {target.path} HTTP/1.1\r\nHost: {target.authority}\r\n"
    head += f"Content-Length: {UPLOAD_BYTES}\r\n\r\n"
    with target.connected() as connection:
        with suppress(OSError):
            connection.sendall(head.encode())
            for _ in range(UPLOAD_BYTES // len(BLOCK)):
                connection.sendall(BLOCK)
        reply = received(connection)
    return _defects(reply[9:12] == b"200", "an upload of 100 MiB is taken")


def chunked_tricks(target: Target) -> list[str]:
    """Chunks of wrong sizes, and both ways to say a length: what smuggles a second request."""
    hidden = b"GET /hidden HTTP/1.1\r\n\r\n"
    wrong = []
    for lengths in (b"", b"Content-Length: 4\r\n"):
        for chunks in (b"0\r\n\r\n", b"ffffffffffffffff\r\n", b"-1\r\nx\r\n", b"zz\r\n\r\n"):
            head = f"POST {target.path} HTTP/1.1\r\nHost: {target.authority}\r\n".encode()
            content = head + lengths + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + hidden
            if target.reply(content).count(STATUS_LINE) > 1:
                wrong.append(f"{lengths + chunks!r} lets a second request in")
    return wrong


def header_floods(target: Target) -> list[str]:
    """Many headers, and one without an end."""
    start = f"GET {target.path} HTTP/1.1\r\nHost: {target.authority}\r\n".encode()
    many = b"".join(b"X-%d: y\r\n" % i for i in range(20_000))
    long = b"X: " + b"y" * (4 << 20)
    wrong = []
    for name, headers in (("20,000 headers", many), ("a header of 4 MiB", long)):
        if target.reply(start + headers + b"\r\n\r\n")[9:12] == b"200":
            wrong.append(f"{name} are taken")
    return wrong


def foreign_names(target: Target) -> list[str]:
    """DNS rebinding: another name in Host; and posts of other sites: another Origin."""
    wrong = []
    for name in FOREIGN:
        host = name.format(port=target.port)
        if target.status(Host=host) == 200:
            wrong.append(f"the host {host} is served")
        if target.status(Host=target.authority, Origin=f"http://{host}") == 200:
            wrong.append(f"the origin {host} is served")
    return wrong


def pipelining(target: Target) -> list[str]:
    """Ten requests at once get ten answers in their order."""
    head = f"GET {target.path} HTTP/1.1\r\nHost: {target.authority}\r\n".encode()
    last = head + b"Connection: close\r\n\r\n"
    with target.connected() as connection:
        # The line stays open: some servers take its end for the client's.
        connection.sendall((head + b"\r\n") * 9 + last)
        count = received(connection).count(b" 200 OK")
    return _defects(count != 10, f"of ten requests at once {count} are answered")


PROBES: dict[str, Callable[[Target], list[str]]] = {
    "malformed requests": malformed,
    f"{CONNECTIONS} silent connections": many_connections,
    "slow clients": slow_clients,
    "an upload of 100 MiB": large_upload,
    "tricks with chunks": chunked_tricks,
    "floods of headers": header_floods,
    "foreign Host and Origin": foreign_names,
    "pipelining": pipelining,
}


def _defects(is_wrong: bool, what: str) -> list[str]:
    return [what] if is_wrong else []


def run_probes(target: Target) -> dict[str, list[str]]:
    """Each probe's defects; one of them is that the server no longer answers."""
    found = {}
    for name, probe in PROBES.items():
        try:
            found[name] = probe(target)
            found[name] += _defects(target.status() != 200, "it no longer answers")
        except OSError as error:
            found[name] = [f"the connection failed: {error}"]
    return found


@click.command()
@click.argument("address")
@click.option("--path", default="/", show_default=True, help="What is answered with 200.")
@click.option("--rounds", type=click.IntRange(1), default=1, show_default=True)
def main(address: str, path: str, rounds: int) -> None:
    """Flood the server at ADDRESS, HOST:PORT; end with 1 where it did anything wrong."""
    host, _, port = address.rpartition(":")
    target = Target(host, int(port), path)
    total = 0
    for i in range(rounds):
        for name, wrong in run_probes(target).items():
            total += len(wrong)
            click.echo(f"round {i + 1}, {name}: {'; '.join(wrong) or 'right'}")
    sys.exit(1 if total else 0)


if __name__ == "__main__":
    main()
