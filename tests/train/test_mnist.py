"""Fetching MNIST from a real HTTP server on the loopback that misbehaves in every known way."""

import gzip
import hashlib
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from vae_runtime.errors import VAEError
from vae_train import mnist


class Mirror(ThreadingHTTPServer):
    """Serves a folder at /good/.

    Worse at /truncated/, /corrupted/, /flaky/ (fails once) and /absent/.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.requests: Counter[str] = Counter()

    def url(self, kind: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{kind}/"


class Handler(BaseHTTPRequestHandler):
    server: Mirror

    def do_GET(self) -> None:
        _, kind, name = self.path.split("/")
        self.server.requests[kind] += 1
        content = (self.server.folder / name).read_bytes()
        if kind == "absent":
            self.send_error(404)
            return
        if kind == "flaky" and self.server.requests[kind] == 1:
            self.send_error(503)
            return
        if kind == "corrupted":
            content = gzip.compress(b"something else")
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if kind == "truncated" else content)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def mirror(sample_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    """A server of the sample, whose hashes stand in for those of all of MNIST."""
    for name in mnist.SHA256:
        content = gzip.decompress((sample_folder / f"{name}.gz").read_bytes())
        monkeypatch.setitem(mnist.SHA256, name, hashlib.sha256(content).hexdigest())
    server = Mirror(sample_folder)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def test_the_four_files_are_fetched_once(mirror: Mirror, tmp_path: Path) -> None:
    for _ in range(2):
        folder = mnist.fetch(tmp_path / "cache", [mirror.url("good")], pause=0)
    assert sorted(p.name for p in folder.iterdir()) == sorted(f"{name}.gz" for name in mnist.SHA256)
    assert mirror.requests["good"] == 4


@pytest.mark.parametrize("kind", ["truncated", "corrupted", "absent"])
def test_a_bad_mirror_is_passed_over_for_the_next(
    mirror: Mirror, tmp_path: Path, kind: str
) -> None:
    mnist.fetch(tmp_path, [mirror.url(kind), mirror.url("good")], pause=0)
    assert mirror.requests[kind] >= 4
    assert mirror.requests["good"] == 4


def test_a_failed_request_is_tried_again(mirror: Mirror, tmp_path: Path) -> None:
    mnist.fetch(tmp_path, [mirror.url("flaky")], pause=0)
    assert mirror.requests["flaky"] == 5


def test_without_a_good_mirror_the_error_names_each_reason_and_leaves_no_file(
    mirror: Mirror, tmp_path: Path
) -> None:
    mirrors = [mirror.url("truncated"), mirror.url("corrupted"), mirror.url("absent")]
    with pytest.raises(VAEError, match="damaged.*404.*--data FOLDER"):
        mnist.fetch(tmp_path, mirrors, pause=0)
    assert not list(tmp_path.iterdir())


def test_a_damaged_file_in_the_cache_is_fetched_again(mirror: Mirror, tmp_path: Path) -> None:
    mnist.fetch(tmp_path, [mirror.url("good")], pause=0)
    victim = tmp_path / "train-labels-idx1-ubyte.gz"
    victim.write_bytes(victim.read_bytes()[:-9])
    mnist.fetch(tmp_path, [mirror.url("good")], pause=0)
    assert mirror.requests["good"] == 5
