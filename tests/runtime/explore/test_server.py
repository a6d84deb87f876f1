"""`vae-run explore` over real connections: what it serves, and whom it refuses."""

import http.client
import io
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image
from tests.runtime.helpers import DATA, Run

import vae_runtime
from vae_runtime.explore import ExploreServer, open_server


@pytest.fixture(scope="module", params=["tiny.vae", "color.vae"])
def server(request: pytest.FixtureRequest) -> Iterator[ExploreServer]:
    vae = vae_runtime.load(DATA / request.param, provider="cpu")
    with open_server(vae) as running:
        threading.Thread(
            target=running.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        ).start()
        yield running
        running.shutdown()


def ask(
    server: ExploreServer, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    try:
        connection.request(
            method, path, body, {name.replace("_", "-"): value for name, value in headers.items()}
        )
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


def refusal(server: ExploreServer, *arguments: object, **headers: str) -> tuple[int, str]:
    status, _, body = ask(server, *arguments, **headers)  # type: ignore[arg-type]
    return status, json.loads(body)["error"]


def picture(mode: str = "L") -> bytes:
    file = io.BytesIO()
    Image.new(mode, (40, 30), 200 if mode == "L" else "red").save(file, "PNG")
    return file.getvalue()


def test_the_page_loads_only_its_own_files(server: ExploreServer) -> None:
    status, headers, page = ask(server, "GET", "/")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    links = re.findall(r'(?:href|src)="([^"]+)"', page.decode())
    assert len(links) == 3
    for link in links:
        assert ask(server, "GET", f"/{link}")[0] == 200
    assert b"http" not in page.replace(b"http-equiv", b"")


def test_the_model_describes_itself(server: ExploreServer) -> None:
    values = json.loads(ask(server, "GET", "/api/model")[2])
    assert values["latent_dim"] == server.vae.latent_dim
    assert set(values["labels"]) == set(server.vae.labels)


def test_a_point_decodes_to_the_bytes_of_the_api(server: ExploreServer) -> None:
    z = [0.5, -1.25, 2.0][: server.vae.latent_dim]
    status, _, body = ask(server, "POST", "/api/decode", json.dumps({"z": z}).encode())
    expected = np.rint(server.vae.decode([z])[0].transpose(1, 2, 0) * 255).astype(np.uint8)
    assert (status, body) == (200, expected.tobytes())


def test_the_plane_shows_the_second_axis_upwards(server: ExploreServer) -> None:
    vae = server.vae
    request = {"z": [0] * vae.latent_dim, "axes": [0, 1], "reach": 2, "cells": 2}
    status, headers, body = ask(server, "POST", "/api/plane", json.dumps(request).encode())
    assert (status, headers["Content-Type"]) == (200, "image/png")
    shown = np.asarray(Image.open(io.BytesIO(body)))
    height = vae.image_shape[1]
    top_left = np.rint(vae.decode([[-1, 1, 0][: vae.latent_dim]])[0].transpose(1, 2, 0) * 255)
    np.testing.assert_array_equal(shown[:height, :height].reshape(top_left.shape), top_left)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_dropped_image_is_encoded_and_rebuilt(server: ExploreServer, mode: str) -> None:
    values = json.loads(ask(server, "POST", "/api/encode?fit=stretch&invert=1", picture(mode))[2])
    assert len(values["z_mean"]) == server.vae.latent_dim
    assert np.isfinite(values["score"])


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{port}", "127.0.0.1:1", "127.0.0.1", "", "a:b:c", "@:{port}"],
)
def test_a_foreign_host_is_refused(server: ExploreServer, host: str) -> None:
    status, reason = refusal(server, "GET", "/", None, Host=host.format(port=server.server_port))
    assert (status, reason) == (421, "this server is not that host")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LocalHost", "[::1]"])
def test_its_own_names_are_accepted(server: ExploreServer, host: str) -> None:
    assert ask(server, "GET", "/", None, Host=f"{host}:{server.server_port}")[0] == 200


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1:1", "http://evil.example:{port}"]
)
def test_posts_from_other_sites_are_refused(server: ExploreServer, origin: str) -> None:
    status, reason = refusal(
        server,
        "POST",
        "/api/decode",
        b'{"z": [0, 0]}',
        Origin=origin.format(port=server.server_port),
    )
    assert (status, reason) == (403, "pages of other sites may not use this server")


@pytest.mark.parametrize(
    "path",
    [
        "/server.py",
        "/../vae.py",
        "/%2e%2e/vae.py",
        "//etc/passwd",
        "/index.html/",
        "/api",
        "/style.css/../server.py",
    ],
)
def test_nothing_else_is_served(server: ExploreServer, path: str) -> None:
    assert refusal(server, "GET", path)[0] == 404
    assert refusal(server, "POST", path, b"{}")[0] == 404


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b"{}",
        b'{"z": []}',
        b'{"z": [NaN, 0, 0]}',
        b'{"z": ["a", 0]}',
        b'{"z": [1e400, 0]}',
        b"[" * 60000,
    ],
)
def test_a_wrong_request_is_an_error_with_its_reason(server: ExploreServer, body: bytes) -> None:
    status, reason = refusal(server, "POST", "/api/decode", body)
    assert status == 400
    assert reason


@pytest.mark.parametrize(
    "change",
    [
        {"cells": 0},
        {"cells": 10**6},
        {"cells": "9"},
        {"reach": -1},
        {"axes": [0]},
        {"axes": [0, 0]},
        {"axes": [0, 9]},
    ],
)
def test_a_wrong_plane_is_an_error(server: ExploreServer, change: dict[str, object]) -> None:
    request = {"z": [0] * server.vae.latent_dim, "axes": [0, 1], "reach": 2, "cells": 2} | change
    assert refusal(server, "POST", "/api/plane", json.dumps(request).encode())[0] == 400


def test_what_is_no_image_is_an_error(server: ExploreServer) -> None:
    assert refusal(server, "POST", "/api/encode", b"text") == (400, "the image: not an image")
    assert refusal(server, "POST", "/api/encode", picture()[:60])[0] == 400
    assert refusal(server, "POST", "/api/encode?fit=squeeze", picture())[0] == 400


@pytest.mark.parametrize("length", ["70000", "99999999999999999999", "-1", "x", "٣"])
def test_a_request_too_long_or_of_unknown_length_is_refused_unread(
    server: ExploreServer, length: str
) -> None:
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=20) as connection:
        head = [
            "POST /api/decode HTTP/1.1",
            f"Host: 127.0.0.1:{server.server_port}",
            f"Content-Length: {length}",
        ]
        connection.sendall(("\r\n".join(head) + "\r\n\r\n").encode())
        reply = connection.makefile("rb").read().decode()  # ends, so the connection was closed
    assert reply.startswith(("HTTP/1.1 413", "HTTP/1.1 411"))


def test_one_connection_answers_many_requests_without_delay(server: ExploreServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    body = json.dumps({"z": [0] * server.vae.latent_dim})
    times = []
    for _ in range(30):
        began = time.perf_counter()
        connection.request("POST", "/api/decode", body)
        connection.getresponse().read()
        times.append(time.perf_counter() - began)
    connection.close()
    assert sorted(times)[15] < 0.03  # a delayed acknowledgement alone takes 0.04


def test_open_to_the_network_it_takes_addresses_but_no_foreign_names() -> None:
    with open_server(vae_runtime.load(DATA / "tiny.vae", provider="cpu"), "0.0.0.0") as server:
        assert not server.is_local
        assert server.serves(f"192.168.1.5:{server.server_port}")
        assert not server.serves(f"evil.example:{server.server_port}")


def test_a_taken_port_is_one_clear_error(server: ExploreServer, vae_run: Run) -> None:
    done = vae_run("explore", "--port", server.server_port, "--no-open")
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: cannot listen on 127.0.0.1:{server.server_port}: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("host", "warned"), [("127.0.0.1", False), ("0.0.0.0", True)])
def test_the_command_says_where_it_is_and_ends_with_ctrl_c(host: str, warned: bool) -> None:
    command = [
        sys.executable,
        "-m",
        "vae_runtime",
        "explore",
        "--no-open",
        "--port",
        "0",
        "--host",
        host,
    ]
    process = subprocess.Popen(
        [*command, "-m", str(DATA / "tiny.vae")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background job ignores the signal.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        assert process.stdout is not None
        assert re.match(rf"http://{re.escape(host)}:\d+/ ", process.stdout.readline())
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 0
    assert ("other machines can use this page" in errors) == warned
    assert "Traceback" not in errors
