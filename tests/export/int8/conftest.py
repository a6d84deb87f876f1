"""Decoders to quantize, and latents to calibrate on."""

import numpy as np
import pytest
import torch
from torch import nn

from vae_export.graphs import export_graph
from vae_export.rewrites import INT8_PASSES, rewrite_for_cpu
from vae_runtime.arrays import Float32
from vae_train.model import build_vae


@pytest.fixture(scope="session")
def z() -> Float32:
    """(64, 2)."""
    return np.random.default_rng(0).standard_normal((64, 2)).astype(np.float32)


@pytest.fixture(scope="session")
def four_layers() -> bytes:
    """A decoder of 2 latents: dense 2→80, dense 80→1024, conv 16→16, conv 16→1."""
    torch.manual_seed(0)
    decoder = nn.Sequential(
        nn.Linear(2, 80),
        nn.SiLU(),
        nn.Linear(80, 1024),
        nn.ReLU(),
        nn.Unflatten(1, (16, 8, 8)),
        nn.Conv2d(16, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 1, 3, padding=1),
        nn.Sigmoid(),
    )
    model = export_graph(decoder.eval(), (2,), "z", ["image"], {"precision": "fp32"})
    return bytes(model.SerializeToString())


@pytest.fixture(scope="session")
def upsampling() -> bytes:
    """A decoder with two transposed convolutions, rewritten for int8, its weights drawn once."""
    torch.manual_seed(1)
    decoder = build_vae((1, 28, 28), 2, seed=1, networks="deep").decoder.eval()
    model = export_graph(decoder, (2,), "z", ["image"], {"precision": "fp32"})
    rewritten = rewrite_for_cpu(model.SerializeToString(), INT8_PASSES)
    assert rewritten is not None
    return rewritten
