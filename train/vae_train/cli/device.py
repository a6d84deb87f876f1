"""The device that --device names."""

from __future__ import annotations

import torch

from vae_runtime.errors import VAEError


def require_device(name: str) -> str:
    """auto, cpu, cuda or cuda:N -> cpu, cuda or cuda:N. Raises VAEError where it isn't there."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cpu":
        return name
    kind, colon, index = name.partition(":")
    if kind != "cuda" or (colon and not index.isdigit()):
        raise VAEError(f"--device {name}: not a device; use auto, cpu, cuda or cuda:N")
    if not torch.cuda.is_available():
        raise VAEError(f"--device {name}: this torch finds no usable CUDA device")
    count = torch.cuda.device_count()
    number = int(index or 0)
    # Device 0 is there whenever CUDA is.
    if number > 0 and number >= count:
        raise VAEError(f"--device {name}: torch finds {count} CUDA devices, numbered from 0")
    return name
