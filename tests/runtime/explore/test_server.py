"""`vae-run explore` over real connections: what it serves, and whom it refuses."""

import contextlib
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
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image
from tests.runtime.helpers import DATA, Run

import vae_runtime
from vae_runtime.errors import VAEError
from vae_runtime.explore import ExploreServer, open_server
from vae_runtime.explore.server import FILES


@contextmanager
def running(vae: vae_runtime.VAE, *arguments: Any, **options: Any) -> Iterator[ExploreServer]:
    """A server that answers; arguments and options are those of `open_server`."""
    with open_server(vae, *arguments, **options) as server:
        threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        ).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module", params=["tiny.vae", "color.vae"])
def server(request: pytest.FixtureRequest) -> Iterator[ExploreServer]:
    with running(vae_runtime.load(DATA / request.param, provider="cpu")) as server:
        yield server


def ask(
    server: ExploreServer, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=120)
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


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
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


def test_the_scripts_import_only_each_other(server: ExploreServer) -> None:
    waiting = ["explore.js"]
    loaded = set()
    while waiting:
        name = waiting.pop()
        loaded.add(name)
        status, headers, script = ask(server, "GET", f"/{name}")
        assert (status, headers["Content-Type"]) == (200, "text/javascript; charset=utf-8")
        imported = re.findall(r'^import .* from "\./(.*)";$', script.decode(), re.M)
        assert len(imported) == script.decode().count("import ")
        waiting += [other for other in imported if other not in loaded]
    assert {f"/{name}" for name in loaded} == {path for path in FILES if path.endswith(".js")}


def test_the_model_describes_itself(server: ExploreServer) -> None:
    values = json.loads(ask(server, "GET", "/api/model")[2])
    assert values["latent_dim"] == server.vae.latent_dim
    assert set(values["labels"]) == set(server.vae.labels)
    assert values["preprocess"]["fit"] in values["fits"]


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
    has_quantiles = bool(server.vae.variant.score_quantiles)
    assert bool(values["verdict"]) == has_quantiles


def test_an_image_is_judged_by_the_scores_of_held_out_images(
    digits: vae_runtime.VAE, test_images: np.ndarray
) -> None:
    with running(digits) as server:
        judged = json.loads(ask(server, "POST", "/api/encode", png(test_images[0]))[2])
        path = "/api/encode?fit=contain&invert=1"
        inverted = json.loads(ask(server, "POST", path, png(test_images[0]))[2])
    assert judged["score"] == digits.score(test_images[:1])[0]
    assert (judged["verdict"], judged["is_known"]) == ("typical", True)
    assert inverted["verdict"] == "unlike anything the model knows"
    assert not inverted["is_known"]


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


def test_open_to_the_network_it_takes_addresses_and_its_own_names(tiny: vae_runtime.VAE) -> None:
    with running(tiny, "0.0.0.0") as server:
        assert not server.is_local
        name = socket.gethostname()
        first = name.partition(".")[0]
        for host in ("192.168.1.5", name, name.upper(), f"{first}.local", f"{first}.local."):
            assert ask(server, "GET", "/", None, Host=f"{host}:{server.server_port}")[0] == 200
        for host in ("evil.example", f"{first}.evil.example", "evil.local", ""):
            assert ask(server, "GET", "/", None, Host=f"{host}:{server.server_port}")[0] == 421


def test_a_name_that_it_refuses_can_be_allowed(tiny: vae_runtime.VAE) -> None:
    with running(tiny, "0.0.0.0", allowed_hosts=["Board.Example.org", "pi.lan"]) as server:
        port = server.server_port
        for name in ("board.example.org", "pi.lan"):
            body = b'{"z": [0, 0]}'
            own = {"Host": f"{name}:{port}", "Origin": f"http://{name}:{port}"}
            assert ask(server, "POST", "/api/decode", body, **own)[0] == 200
        status, reason = refusal(server, "GET", "/", None, Host=f"other.example.org:{port}")
        assert status == 421
        assert "--allow-host" in reason


def test_closed_to_the_network_it_takes_no_name_but_localhost(tiny: vae_runtime.VAE) -> None:
    with running(tiny) as server:
        host = f"{socket.gethostname()}:{server.server_port}"
        assert refusal(server, "GET", "/", None, Host=host)[0] == 421


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_open_to_the_network_its_url_is_one_that_other_machines_can_open(
    tiny: vae_runtime.VAE, host: str
) -> None:
    if host == "::" and not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    with running(tiny, host) as server:
        shown = urlsplit(server.url).hostname
        assert shown not in (None, "", host)
        assert server.serves(urlsplit(server.url).netloc)
        # Through IPv4 as well.
        assert ask(server, "GET", "/")[0] == 200


def test_where_the_port_is_taken_the_next_free_one_is_used(tiny: vae_runtime.VAE) -> None:
    with open_server(tiny) as first:
        port = first.server_port
        with open_server(tiny, port=port, spare_ports=20) as second:
            assert port < second.server_port <= port + 20
        with pytest.raises(VAEError, match=f"cannot listen on 127.0.0.1:{port}: "):
            open_server(tiny, port=port)


def test_a_taken_port_that_was_asked_for_is_one_clear_error(
    server: ExploreServer, vae_run: Run
) -> None:
    done = vae_run("explore", "--port", server.server_port, "--no-open")
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: cannot listen on 127.0.0.1:{server.server_port}: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["http://pi.lan", "pi.lan:80", "", "pi lan"])
def test_what_is_no_name_cannot_be_allowed(vae_run: Run, name: str) -> None:
    done = vae_run("explore", "--allow-host", name, "--no-open")
    assert done.returncode == 2
    assert "is not a host name" in done.stderr


@contextmanager
def exploring(*options: str) -> Iterator["subprocess.Popen[str]"]:
    """`vae-run explore` as a process."""
    command = [sys.executable, "-m", "vae_runtime", "explore", "--no-open", *options]
    process = subprocess.Popen(
        [*command, "-m", str(DATA / "tiny.vae")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background job ignores the signal.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def first_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline()


@pytest.mark.parametrize(("host", "warned"), [("127.0.0.1", False), ("0.0.0.0", True)])
def test_the_command_says_where_it_is_and_ends_with_ctrl_c(host: str, warned: bool) -> None:
    with exploring("--port", "0", "--host", host) as process:
        shown = re.match(r"http://(\S+):\d+/ ", first_line(process))
        assert shown is not None
        assert (shown[1] == host) != warned
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 0
    assert ("other machines can use this page" in errors) == warned
    assert "Traceback" not in errors


def test_the_command_says_when_its_usual_port_is_taken() -> None:
    with contextlib.ExitStack() as stack:
        # Another test, or the user, may have it already.
        with contextlib.suppress(OSError):
            stack.enter_context(socket.create_server(("127.0.0.1", 8765)))
        with exploring() as process:
            shown = re.match(r"http://127\.0\.0\.1:(\d+)/ ", first_line(process))
            assert shown is not None
            assert 8765 < int(shown[1]) <= 8785
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=20)
    assert f"Port 8765 is taken, so it is {shown[1]}" in errors
