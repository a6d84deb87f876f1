"""How fast a bundle runs here: latency and throughput by precision, batch and thread count."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import onnxruntime

from vae_runtime.bundle import BundleStorage, GraphPrecision
from vae_runtime.engine.cpu import cpu_name
from vae_runtime.vae import VAE

BATCHES = (1, 8, 32, 225)
MIN_ROUNDS = 3


def machine() -> dict[str, Any]:
    """What the figures belong to."""
    return {
        "cpu": cpu_name(),
        "cpus": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "onnxruntime": onnxruntime.__version__,
    }


def measure(
    bundle: BundleStorage,
    precisions: Sequence[GraphPrecision],
    provider: str,
    threads: int,
    seconds: float,
) -> Iterator[dict[str, Any]]:
    """One row per precision, thread count, batch and method, each measured for `seconds`."""
    rng = np.random.default_rng(0)
    for precision, count in product(precisions, sorted({1, threads})):
        with VAE(bundle, provider, precision, count) as vae:
            for batch in BATCHES:
                z = rng.standard_normal((batch, vae.latent_dim)).astype(np.float32)
                images = rng.random((batch, *vae.image_shape), np.float32)
                settings = {"precision": precision, "threads": count, "batch": batch}
                yield {**settings, "what": "decode", **_figures(vae.decode, z, seconds)}
                yield {**settings, "what": "encode", **_figures(vae.encode, images, seconds)}


def _figures(call: Callable[..., Any], array: Any, seconds: float) -> dict[str, float]:
    times = seconds_per_call(partial(call, array), seconds)
    median = float(np.median(times))
    return {
        "median_ms": 1000 * median,
        "p99_ms": 1000 * float(np.quantile(times, 0.99)),
        "images_per_second": len(array) / median,
    }


def seconds_per_call(call: Callable[[], Any], budget: float) -> list[float]:
    """Seconds that calls took, after one that warms up: three or more, within `budget`."""
    call()
    times: list[float] = []
    end = time.perf_counter() + budget
    while len(times) < MIN_ROUNDS or time.perf_counter() < end:
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return times
