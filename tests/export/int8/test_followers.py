"""Copies and sums compute in bytes where those around them do, and nowhere else."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from tests.export.toys import traced_decoder
from torch import Tensor, nn

from vae_export.int8.followers import followers
from vae_export.int8.qdq import CalibratedModel
from vae_export.int8.search import layers_worth_quantizing
from vae_runtime.arrays import Float32
from vae_runtime.engine.providers import CPU


class Residual(nn.Module):
    """x + conv(x), with a ReLU behind or without, the parts as they are or normalized."""

    def __init__(self, *, relu: bool = True, norm: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(16, 16, 3, padding=1)
        self.relu = relu
        self.norm = nn.GroupNorm(4, 16) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor = self.norm(x) + self.conv(x).relu()
        return total.relu() if self.relu else total


def conv() -> nn.Conv2d:
    return nn.Conv2d(16, 16, 3, padding=1)


def layer_names(model: onnx.ModelProto) -> list[str]:
    return [name for layer in layers_worth_quantizing(model) for name in layer]


def followed(model: onnx.ModelProto) -> list[str]:
    """The operators that follow when all layers are quantized."""
    operators = {node.name: node.op_type for node in model.graph.node}
    return [operators[name] for name in followers(model, layer_names(model))]


def test_a_sum_between_layers_follows_with_its_relu() -> None:
    model = traced_decoder(conv(), nn.ReLU(), Residual(), conv(), nn.Sigmoid())
    assert followed(model) == ["Add", "Relu"]


def test_a_sum_that_another_sum_takes_too_follows_without_the_relu() -> None:
    class TwoBlocks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = conv(), conv()

        def forward(self, x: Tensor) -> Tensor:
            once: Tensor = x + self.first(x.relu())
            twice: Tensor = once + self.second(once.relu())
            return twice

    model = traced_decoder(conv(), TwoBlocks(), conv(), nn.Sigmoid())
    assert followed(model) == ["Add", "Add"]


def test_a_sum_with_a_part_in_floats_stays() -> None:
    model = traced_decoder(conv(), nn.SiLU(), Residual(norm=True), conv(), nn.Sigmoid())
    assert followed(model) == []


def test_a_sum_that_no_layer_takes_stays() -> None:
    model = traced_decoder(conv(), nn.ReLU(), Residual(relu=False), nn.Sigmoid())
    assert followed(model) == []


def test_no_sum_follows_layers_that_stay_in_floats() -> None:
    model = traced_decoder(conv(), nn.ReLU(), Residual(), conv(), nn.Sigmoid())
    assert followers(model, layer_names(model)[:2]) == []


def test_onnxruntime_adds_bytes(z: Float32, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = traced_decoder(conv(), nn.ReLU(), Residual(), conv(), nn.Sigmoid())
    names = layer_names(model)
    int8 = CalibratedModel(model, z, names).quantize(names, 100.0)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    session = onnxruntime.InferenceSession(int8, options, providers=[CPU])
    operators = [node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node]
    assert operators.count("QLinearAdd") == 1
    assert "Add" not in operators
    fp32 = onnxruntime.InferenceSession(model.SerializeToString(), providers=[CPU])
    (expected,) = fp32.run(None, {"z": z})
    (image,) = session.run(None, {"z": z})
    assert np.abs(image - expected).max() < 0.02
