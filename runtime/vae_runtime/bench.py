"""How fast a bundle runs here: latency and throughput by precision, batch and thread count."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from vae_runtime.vae import VAE

BATCHES = (1, 8, 32, 225)


def machine() -> dict[str, Any]:
    """What the figures belong to."""
    return {
        "cpu": _cpu_name(),
        "cpus": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "onnxruntime": onnxruntime.__version__,
    }


def measure(
    path: Path, precisions: Sequence[str], provider: str, threads: int, seconds: float
) -> Iterator[dict[str, Any]]:
    """One row per precision, direction, thread count and batch."""
    random = np.random.default_rng(0)
    for precision in precisions:
        for count in sorted({1, threads}):
            with VAE(path, provider, precision, count) as vae:
                for batch in BATCHES:
                    z = random.standard_normal((batch, vae.latent_dim)).astype(np.float32)
                    images = random.random((batch, *vae.image_shape), np.float32)
                    for what, call, array in (("decode", vae.decode, z), ("encode", vae.encode, images)):
                        times = _times(partial(call, array), seconds)
                        yield {
                            "precision": precision,
                            "what": what,
                            "threads": count,
                            "batch": batch,
                            "median_ms": 1000 * float(np.median(times)),
                            "p99_ms": 1000 * float(np.quantile(times, 0.99)),
                            "images_per_second": batch / float(np.median(times)),
                        }


def _times(call: Callable[[], Any], seconds: float) -> list[float]:
    call()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return times


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model"))]
    return names[0] if names else platform.processor() or platform.machine()
