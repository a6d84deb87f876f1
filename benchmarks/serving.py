"""examples/serve under load, beside calls of the runtime: `python -m benchmarks.serving`.

The clients are autocannon's (npm install --ignore-scripts autocannon, in --autocannon DIR), pinned
to one CPU, the service to another.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import URLError
from urllib.request import urlopen

import click
import psutil

import vae_runtime
from benchmarks.tables import header, row
from vae_runtime.console import CONTEXT_SETTINGS
from vae_runtime.formats.png import png_bytes
from vae_runtime.formats.sheets import sheet

APP = Path(__file__).parents[1] / "examples/serve/app.py"
CLIENTS = (1, 8, 64, 512)
SERVER_CPU, CLIENT_CPU = "0", "1"
MIB = 1 << 20


class Endpoint(NamedTuple):
    """What is asked, and the calls of the runtime that answer it."""

    path: str
    body: bytes | None
    call: Callable[[], object]


@click.command(context_settings=CONTEXT_SETTINGS)
@click.option("--seconds", type=click.IntRange(1), default=8, show_default=True)
@click.option("--requests", type=int, default=200_000, show_default=True, help="For the memory.")
@click.option("--autocannon", type=Path, required=True, help="The folder that npm installed into.")
def main(seconds: int, requests: int, autocannon: Path) -> None:
    """Requests per second, latencies, errors and memory of the service."""
    program = autocannon / "node_modules/.bin/autocannon"
    vae = vae_runtime.load(threads=1)
    # autocannon sends texts only, so the digit is a PGM file of numbers in decimal.
    pixels = sheet(vae.sample(1, seed=0))
    numbers = " ".join(map(str, pixels.ravel()))
    digit = f"P2 {pixels.shape[1]} {pixels.shape[0]} 255 {numbers}".encode()
    endpoints = [
        Endpoint("/health", None, lambda: None),
        Endpoint("/encode", digit, lambda: vae.encode(vae.read(digit))),
        Endpoint("/sample?n=1&seed=3", None, lambda: png_bytes(sheet(vae.sample(1, seed=3)))),
    ]
    _print_joining(vae)
    with _server() as (address, process), tempfile.TemporaryDirectory() as folder:
        click.echo(header(["request", "clients", "per second", "p50, ms", "p99, ms", "errors"]))
        for endpoint in endpoints:
            direct = _calls_per_second(endpoint.call)
            if endpoint.path != "/health":
                click.echo(row([endpoint.path, "a call", f"{direct:,.0f}", "", "", ""]))
            for clients in CLIENTS:
                options = ["-c", str(clients), "-d", str(seconds)]
                found = _cannonade(program, address, endpoint, options, Path(folder))
                click.echo(row([endpoint.path, *_figures(clients, found)]))
        before = process.memory_info().rss / MIB
        options = ["-c", "64", "-a", str(requests)]
        found = _cannonade(program, address, endpoints[1], options, Path(folder))
        after = process.memory_info().rss / MIB
    click.echo(f"\n{requests:,} requests: {before:.0f} -> {after:.0f} MiB, {_errors(found)} errors")


def _print_joining(vae: vae_runtime.VAE) -> None:
    """What joining requests could save: an image alone beside an image in a batch of 16."""
    images = vae.sample(16, seed=0)
    alone = 1 / _calls_per_second(lambda: vae.encode(images[:1]))
    together = 1 / _calls_per_second(lambda: vae.encode(images)) / 16
    click.echo(f"encode: {alone * 1e6:.0f} µs alone, {together * 1e6:.0f} µs in a batch of 16\n")


def _calls_per_second(call: Callable[[], object]) -> float:
    call()
    count = 0
    began = time.perf_counter()
    while time.perf_counter() - began < 1:
        call()
        count += 1
    return count / (time.perf_counter() - began)


def _cannonade(
    program: Path, address: str, endpoint: Endpoint, options: list[str], folder: Path
) -> dict[str, Any]:
    command = ["taskset", "-c", CLIENT_CPU, str(program), "-j", *options]
    if endpoint.body is not None:
        body = folder / "body"
        body.write_bytes(endpoint.body)
        command += ["-m", "POST", "-i", str(body)]
    command.append(address + endpoint.path)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def _figures(clients: int, found: dict[str, Any]) -> list[str]:
    latency = found["latency"]
    return [
        str(clients),
        f"{found['requests']['average']:,.0f}",
        f"{latency['p50']:.0f}",
        f"{latency['p99']:.0f}",
        str(_errors(found)),
    ]


def _errors(found: dict[str, Any]) -> int:
    return int(found["errors"]) + int(found["non2xx"]) + int(found["timeouts"])


@contextmanager
def _server() -> Iterator[tuple[str, psutil.Process]]:
    """The service, on a CPU of its own; its address and process."""
    port = free_port()
    command = ["taskset", "-c", SERVER_CPU, sys.executable, str(APP), "--port", str(port)]
    process = subprocess.Popen(command)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(address)
        yield address, psutil.Process(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _wait_for(address: str) -> None:
    for _ in range(200):
        try:
            urlopen(f"{address}/health").close()
        except (URLError, ConnectionError):
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(address)


if __name__ == "__main__":
    main()
