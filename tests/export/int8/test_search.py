"""What is quantized, and what goes back to fp32 when it costs too much."""

import math

import numpy as np
import onnx
import pytest
import torch
from tests.export.toys import traced_decoder
from torch import Tensor, nn

from vae_export.graphs import export_graph
from vae_export.int8.search import Layer, layers_worth_quantizing, quantize_within_budget
from vae_runtime.arrays import Float32

BUDGET = 0.1


def free(model_bytes: bytes) -> float:
    """The cost of a graph that loses nothing."""
    return 0.0


def int8_layer_count(model_bytes: bytes) -> int:
    """Layers whose weights are stored as int8."""
    weights = 0
    for tensor in onnx.load_from_string(model_bytes).graph.initializer:
        weights += tensor.data_type == onnx.TensorProto.INT8 and len(tensor.dims) > 1
    return weights


def test_wide_layers_are_chosen_with_the_relu_behind_them(four_layers: bytes) -> None:
    model = onnx.load_from_string(four_layers)
    operators = {node.name: node.op_type for node in model.graph.node}

    def described(layer: Layer) -> list[str]:
        return [operators[name] for name in layer]

    layers = layers_worth_quantizing(model)
    assert list(map(described, layers)) == [["Gemm", "Relu"], ["Conv", "Relu"], ["Conv"]]


@pytest.mark.parametrize(("cost_of_three", "kept"), [(0.0, 3), (0.2, 2)])
def test_layers_go_back_to_fp32_until_the_cost_fits(
    four_layers: bytes, z: Float32, cost_of_three: float, kept: int
) -> None:
    fewer = min(cost_of_three, 0.05)
    costs = {3: cost_of_three, 2: fewer, 1: fewer}

    def cost(model_bytes: bytes) -> float:
        return costs[int8_layer_count(model_bytes)]

    result = quantize_within_budget(four_layers, z, cost, BUDGET)
    assert result.model_bytes is not None
    assert int8_layer_count(result.model_bytes) == kept
    assert result.cost == cost(result.model_bytes)


def test_where_no_layer_fits_the_last_ones_cost_is_told(four_layers: bytes, z: Float32) -> None:
    result = quantize_within_budget(four_layers, z, lambda model_bytes: 0.2, BUDGET)
    assert (result.model_bytes, result.cost) == (None, 0.2)


def test_a_cost_that_is_no_number_is_infinite(four_layers: bytes, z: Float32) -> None:
    result = quantize_within_budget(four_layers, z, lambda model_bytes: math.nan, BUDGET)
    assert (result.model_bytes, result.cost) == (None, math.inf)


def test_the_costliest_layer_goes_back_first(four_layers: bytes, z: Float32) -> None:
    def cost(model_bytes: bytes) -> float:
        """The convolutions cost much, the dense layer little."""
        total = 0.0
        for tensor in onnx.load_from_string(model_bytes).graph.initializer:
            if tensor.data_type == onnx.TensorProto.INT8 and len(tensor.dims) > 1:
                total += 1.0 if len(tensor.dims) == 4 else 0.01
        return total

    result = quantize_within_budget(four_layers, z, cost, BUDGET)
    assert result.model_bytes is not None
    assert result.cost == pytest.approx(0.01)


def test_the_clipping_that_costs_least_is_chosen(four_layers: bytes, z: Float32) -> None:
    costs = iter([0.03, 0.01, 0.02, 0.04])
    tried: list[bytes] = []

    def cost(model_bytes: bytes) -> float:
        tried.append(model_bytes)
        return next(costs)

    result = quantize_within_budget(four_layers, z, cost, BUDGET)
    assert (result.model_bytes, result.cost) == (tried[1], 0.01)


def test_a_quantized_activation_begins_at_zero(four_layers: bytes, z: Float32) -> None:
    int8 = quantize_within_budget(four_layers, z, free, BUDGET).model_bytes
    assert int8 is not None
    graph = onnx.load_from_string(int8).graph
    # The lower end of the bytes takes the place of the Relu.
    assert "Relu" not in {node.op_type for node in graph.node}
    from_zero = 0
    for tensor in graph.initializer:
        if "zero_point" in tensor.name:
            zero_point = onnx.numpy_helper.to_array(tensor)
            from_zero += zero_point.dtype == np.uint8 and int(zero_point) == 0
    assert from_zero >= 2


def test_a_gate_that_is_a_parameter_does_not_disturb(z: Float32) -> None:
    class Gate(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gate = nn.Parameter(torch.randn(16, 8, 8))

        def forward(self, x: Tensor) -> Tensor:
            return x * self.gate.sigmoid()

    model = traced_decoder(Gate(), nn.Conv2d(16, 16, 3, padding=1), nn.Sigmoid())
    result = quantize_within_budget(model.SerializeToString(), z, free, BUDGET)
    assert result.model_bytes is not None


def test_a_product_with_a_weight_of_three_dimensions_stays_in_fp32(z: Float32) -> None:
    class Batched(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(16, 8, 64))
            self.vector = nn.Parameter(torch.randn(64))

        def forward(self, x: Tensor) -> Tensor:
            y = nn.functional.gelu(x @ self.weight)
            return y * (y @ self.vector)[..., None]

    model = traced_decoder(Batched(), nn.Conv2d(16, 16, 3, padding=1), nn.Sigmoid())
    assert len(layers_worth_quantizing(model)) == 1
    assert quantize_within_budget(model.SerializeToString(), z, free, BUDGET).model_bytes


@pytest.mark.parametrize("inputs", [32, 80])
def test_products_that_share_a_weight_stay_in_fp32(inputs: int) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(96, inputs))

        def forward(self, x: Tensor) -> Tensor:
            return (nn.functional.linear(x, self.weight).relu() @ self.weight).sigmoid()

    model = export_graph(Tied().eval(), (inputs,), "x", ["y"], {})
    assert layers_worth_quantizing(model) == []


def test_a_product_that_scales_its_bias_stays_in_fp32() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(80, 80))
            self.bias = nn.Parameter(torch.randn(80))

        def forward(self, x: Tensor) -> Tensor:
            return torch.addmm(self.bias, x, self.weight, beta=0.5)

    model = export_graph(Scaled().eval(), (80,), "x", ["y"], {})
    assert [node.op_type for node in model.graph.node] == ["Gemm"]
    assert layers_worth_quantizing(model) == []
