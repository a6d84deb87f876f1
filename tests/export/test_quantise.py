"""int8: what is quantised, and what goes back to fp32 when it costs too much."""

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from vae_export.graphs import export_graph
from vae_export.quantise import quantise, worthwhile


@pytest.fixture(scope="module")
def content() -> bytes:
    """A decoder of 2 latents whose layers are, in order: dense 2→32, dense 32→1024, conv 16→16, conv 16→1."""
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Linear(2, 32), nn.SiLU(), nn.Linear(32, 1024), nn.ReLU(), nn.Unflatten(1, (16, 8, 8)),
        nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 1, 3, padding=1), nn.Sigmoid(),
    )  # fmt: skip
    model = export_graph(module.eval(), (2,), "z", ["image"], {"precision": "fp32"})
    return bytes(model.SerializeToString())


@pytest.fixture(scope="module")
def latents() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((64, 2)).astype(np.float32)


def quantised_layers(content: bytes) -> int:
    """Layers whose weights are stored as int8."""
    tensors = {t.name: t for t in onnx.load_from_string(content).graph.initializer}
    return sum(t.data_type == onnx.TensorProto.INT8 and len(t.dims) > 1 for t in tensors.values())


def test_wide_layers_are_chosen_each_with_the_relu_behind_it(content: bytes) -> None:
    model = onnx.load_from_string(content)
    layers = worthwhile(model)
    kinds = {node.name: node.op_type for node in model.graph.node}
    assert [[kinds[name] for name in layer] for layer in layers] == [["Gemm", "Relu"], ["Conv", "Relu"]]


def test_a_quantised_activation_begins_at_zero(content: bytes, latents: np.ndarray) -> None:
    int8, _ = quantise(content, latents, lambda graph: 0.0, 0.1)
    assert int8 is not None
    graph = onnx.load_from_string(int8).graph
    assert "Relu" not in {node.op_type for node in graph.node}  # the bytes' lower end takes its place
    zeros = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer if "zero_point" in t.name}
    assert sum(int(z) == 0 for name, z in zeros.items() if z.dtype == np.uint8) >= 2


def test_layers_go_back_to_fp32_until_the_loss_fits(content: bytes, latents: np.ndarray) -> None:
    cost = {2: 0.2, 1: 0.05}
    for losses, kept in ((lambda graph: 0.0, 2), (lambda graph: cost[quantised_layers(graph)], 1)):
        graph, lost = quantise(content, latents, losses, 0.1)
        assert graph is not None
        assert (quantised_layers(graph), lost) == (kept, losses(graph))
    assert quantise(content, latents, lambda graph: 0.2, 0.1) == (None, 0.2)


def test_the_metadata_says_int8(content: bytes, latents: np.ndarray) -> None:
    int8, _ = quantise(content, latents, lambda graph: 0.0, 0.1)
    assert int8 is not None
    model = onnx.load_from_string(int8)
    assert {entry.key: entry.value for entry in model.metadata_props}["precision"] == "int8"
    assert model.ir_version <= 9
