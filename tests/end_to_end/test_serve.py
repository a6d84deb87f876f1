"""examples/serve, started as a process and asked as clients ask."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from benchmarks.serving import APP, free_port

import vae_runtime
from vae_runtime.formats.idx import read_idx
from vae_runtime.formats.png import png_bytes
from vae_runtime.formats.sheets import sheet

CONTAINERFILE = APP.with_name("Containerfile")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The service's address."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, APP, "--port", str(port)], stderr=subprocess.PIPE, text=True
    )
    address = f"http://127.0.0.1:{port}"
    with httpx.Client(transport=httpx.HTTPTransport(retries=8)) as client:
        client.get(f"{address}/health")
    yield address
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=30)
    assert not errors
    assert process.returncode in (0, -signal.SIGTERM)


@pytest.fixture(scope="module")
def files(sample_folder: Path) -> list[bytes]:
    """Real digits as PNG files."""
    images = read_idx(sample_folder / "t10k-images-idx3-ubyte.gz")[:64]
    return [png_bytes(sheet(image[None, None] / np.float32(255))) for image in images]


def test_answers_are_those_of_the_runtime(server: str, files: list[bytes]) -> None:
    vae = vae_runtime.load()
    z_mean, _ = vae.encode(files[0])
    encoded = httpx.post(f"{server}/encode", content=files[0]).json()
    assert encoded["z_mean"] == z_mean[0].tolist()
    scored = httpx.post(f"{server}/score", content=files[0]).json()
    assert scored["score"] == vae.score(files[0], relative=True)[0]
    assert scored["known"] is True
    sampled = httpx.get(f"{server}/sample?seed=3&n=4").content
    assert sampled == png_bytes(sheet(vae.sample(4, seed=3)))
    shown = httpx.post(f"{server}/reconstruct", content=files[0]).content
    assert shown == png_bytes(sheet(vae.reconstruct(files[0])))


def test_many_clients_get_their_own_answers(server: str, files: list[bytes]) -> None:
    expected = {}
    for file in files:
        expected[file] = httpx.post(f"{server}/encode", content=file).json()
    with httpx.Client() as client, ThreadPoolExecutor(32) as threads:
        answers = threads.map(lambda file: client.post(f"{server}/encode", content=file), files * 8)
        for file, answer in zip(files * 8, answers, strict=True):
            assert answer.json() == expected[file]


def test_what_is_wrong_is_said_and_costs_nothing(server: str) -> None:
    assert httpx.post(f"{server}/score", content=b"no image").status_code == 400
    assert httpx.post(f"{server}/score", content=b"").status_code == 400
    assert httpx.get(f"{server}/sample?n=100000").status_code == 422
    assert httpx.get(f"{server}/sample?seed=-1").status_code == 422
    assert httpx.get(f"{server}/nowhere").status_code == 404
    with httpx.Client() as client:
        answer = client.post(f"{server}/score", content=iter([b"x" * (1 << 20)] * 20))
    assert answer.status_code == 413


@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}], ids=str
)
def test_other_names_and_other_sites_are_refused(server: str, headers: dict[str, str]) -> None:
    assert httpx.get(f"{server}/health", headers=headers).status_code == 403


def test_metrics_count_requests_by_path(server: str, files: list[bytes]) -> None:
    httpx.post(f"{server}/score", content=files[0])
    text = httpx.get(f"{server}/metrics").text
    found = re.search(r'vae_requests_total{path="/score",status="200"} (\d+)', text)
    assert found is not None
    assert 'path="unknown",status="404"' in text or "/nowhere" not in text


def test_the_image_installs_what_the_service_imports() -> None:
    text = CONTAINERFILE.read_text("utf-8")
    for package in ("fastapi", "uvicorn", "prometheus_client"):
        assert package in text
    assert "torch" not in text
