"""The model behind HTTP: images and seeds in, PNG or JSON out.

    pip install . fastapi "uvicorn[standard]" prometheus_client
    python examples/serve/app.py --port 8000
    curl --data-binary @digit.png http://127.0.0.1:8000/score

Requests are not joined into batches: docs/scale.md has the measurements that say why.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated
from urllib.parse import urlsplit

import click
import uvicorn
from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
)
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import vae_runtime
from vae_runtime.arrays import Float32
from vae_runtime.formats.png import png_bytes
from vae_runtime.formats.sheets import sheet
from vae_runtime.latent.novelty import yardstick

MAX_BODY_BYTES = 16 << 20
# A client that sends no faster is not waited for.
MAX_UPLOAD_SECONDS = 10
MAX_SAMPLES = 1024
# Connections beyond are answered 503 at once.
MAX_CONNECTIONS = 2048
SECONDS_TO_FINISH = 10
# Of a service that only this machine reaches.
OWN_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
PNG = "image/png"


def create_app(bundle: str | None = None, threads: int = 1) -> ASGIApp:
    """The service for a bundle; None is the embedded model of digits."""
    vae = vae_runtime.load(bundle, threads=threads)
    vae.verify()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        vae.close()

    app = FastAPI(title="vae-edge", lifespan=lifespan)

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok", "model": vae.path.name, "provider": vae.provider}

    @app.get("/sample")
    async def sample(
        seed: Annotated[int, Query(ge=0)] = 0, n: Annotated[int, Query(ge=1, le=MAX_SAMPLES)] = 16
    ) -> Response:
        """A sheet of n random images; the same seed gives the same bytes."""
        images = await run_in_threadpool(vae.sample, n, seed=seed)
        return Response(png_bytes(sheet(images)), media_type=PNG)

    @app.post("/encode")
    async def encode(request: Request) -> dict[str, list[float]]:
        """The latents of an image file."""
        z_mean, z_log_var = await run_in_threadpool(vae.encode, await read_image(request, vae))
        return {"z_mean": z_mean[0].ravel().tolist(), "z_log_var": z_log_var[0].ravel().tolist()}

    @app.post("/reconstruct")
    async def reconstruct(request: Request) -> Response:
        """An image file as the model sees it."""
        images = await run_in_threadpool(vae.reconstruct, await read_image(request, vae))
        return Response(png_bytes(sheet(images)), media_type=PNG)

    @app.post("/score")
    async def score(request: Request) -> dict[str, float | bool | None]:
        """How well the model explains an image file, in nats, and whether it knows such images."""
        image = await read_image(request, vae)
        known = yardstick(vae.variant)
        (nats,) = await run_in_threadpool(vae.score, image, relative=known.is_relative)
        limit = known.unknown_below
        return {"score": float(nats), "known": None if limit is None else bool(nats >= limit)}

    return Metrics(app)


async def read_image(request: Request, vae: vae_runtime.VAE) -> Float32:
    """The image (1, C, H, W) in a request's body; 400, 408 or 413 for what isn't one."""
    content = await read_body(request)
    try:
        return await run_in_threadpool(vae.read, content)
    except vae_runtime.VAEError as error:
        raise HTTPException(400, str(error)) from None


async def read_body(request: Request) -> bytes:
    """A body of at most 16 MiB that comes within ten seconds."""
    content = bytearray()
    try:
        async with asyncio.timeout(MAX_UPLOAD_SECONDS):
            async for part in request.stream():
                content += part
                if len(content) > MAX_BODY_BYTES:
                    raise HTTPException(413, f"more than {MAX_BODY_BYTES} bytes")
    except TimeoutError:
        raise HTTPException(408, f"it took more than {MAX_UPLOAD_SECONDS} s") from None
    return bytes(content)


class Metrics:
    """Counts requests, and times them, for Prometheus: plain ASGI around the service."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "vae_requests", "Requests", ["path", "status"], registry=self.registry
        )
        self.seconds = Histogram("vae_request_seconds", "Seconds", ["path"], registry=self.registry)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if scope["path"] == "/metrics":
            answer = Response(generate_latest(self.registry), media_type=CONTENT_TYPE_LATEST)
            await answer(scope, receive, send)
            return
        began = time.perf_counter()
        status = 500

        async def noting_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noting_status)
        finally:
            # Paths that nobody serves are one name: a scanner must not fill the memory.
            route = scope.get("route")
            path = route.path if route else "unknown"
            self.requests.labels(path, status).inc()
            self.seconds.labels(path).observe(time.perf_counter() - began)


class OwnNames:
    """Refuses requests under other names, and from pages of other sites: plain ASGI.

    So that no page in a browser reaches a service on this machine, under whatever name (DNS
    rebinding).
    """

    def __init__(self, app: ASGIApp, names: frozenset[str]) -> None:
        self.app = app
        self.names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._is_own(Headers(scope=scope)):
            answer = PlainTextResponse("this service answers to its own names only", 403)
            await answer(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _is_own(self, headers: Headers) -> bool:
        host = urlsplit("//" + headers.get("host", "")).hostname
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).hostname not in self.names:
            return False
        return host in self.names


@click.command()
@click.option("--model", "-m", "bundle", help="A bundle; default: the embedded digits.")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=int, default=8000, show_default=True)
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True)
def main(bundle: str | None, host: str, port: int, threads: int) -> None:
    """Serve a bundle over HTTP until SIGTERM or Ctrl-C; requests that are under way are finished.

    Example: python examples/serve/app.py --port 8000
    """
    app = create_app(bundle, threads)
    if host in OWN_NAMES:
        app = OwnNames(app, OWN_NAMES)
    uvicorn.run(
        app,
        host=host,
        port=port,
        access_log=False,
        log_level="warning",
        limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=SECONDS_TO_FINISH,
    )


if __name__ == "__main__":
    main()
