"""A quantized graph: its scales, its metadata, and what onnxruntime makes of it."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from tests.export.toys import traced_decoder
from torch import Tensor, nn

from vae_export.graphs import export_graph
from vae_export.int8.followers import followers
from vae_export.int8.qdq import CalibratedModel
from vae_export.int8.search import layers_worth_quantizing
from vae_export.rewrites import INT8_PASSES, rewrite
from vae_runtime.arrays import Float32
from vae_runtime.engine.providers import CPU
from vae_train.model import build_vae


def int8_nodes(model: onnx.ModelProto) -> list[str]:
    """The names of all nodes that gain from int8."""
    return [name for layer in layers_worth_quantizing(model) for name in layer]


def quantized(model: onnx.ModelProto, z: Float32) -> onnx.ModelProto:
    nodes = int8_nodes(model)
    return onnx.load_from_string(CalibratedModel(model, z, nodes).quantize(nodes, 100.0))


def constants(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def test_the_metadata_says_int8(four_layers: bytes, z: Float32) -> None:
    int8 = quantized(onnx.load_from_string(four_layers), z)
    assert {entry.key: entry.value for entry in int8.metadata_props}["precision"] == "int8"
    assert int8.ir_version <= 9


def test_all_that_is_concatenated_has_one_scale(upsampling: bytes, z: Float32) -> None:
    int8 = quantized(onnx.load_from_string(upsampling), z)
    values = constants(int8)
    scales: dict[str, tuple[bytes, bytes]] = {}
    for node in int8.graph.node:
        if node.op_type in ("DequantizeLinear", "QuantizeLinear"):
            scale, zero_point = node.input[1:3]
            name = node.output[0] if node.op_type == "DequantizeLinear" else node.input[0]
            scales[name] = (values[scale].tobytes(), values[zero_point].tobytes())
    concats = [node for node in int8.graph.node if node.op_type == "Concat"]
    assert len(concats) == 4
    for node in concats:
        assert len({scales[name] for name in (*node.input, *node.output)}) == 1


def test_values_concatenated_twice_share_one_range(z: Float32) -> None:
    class Dense(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(16, 16, 3, padding=1)
            self.second = nn.Conv2d(32, 16, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            y = torch.cat([x, self.first(x).relu() / 8], 1)
            return torch.cat([x, self.second(y).relu()], 1)

    model = traced_decoder(
        nn.Conv2d(16, 16, 3, padding=1),
        nn.ReLU(),
        Dense(),
        nn.Conv2d(32, 16, 3, padding=1),
        nn.Sigmoid(),
    )
    nodes = int8_nodes(model)
    calibrated = CalibratedModel(model, z, nodes)
    ranges = calibrated.ranges([*nodes, *followers(model, nodes)], 99.9)
    for node in model.graph.node:
        if node.op_type == "Concat" and all(name in ranges for name in node.input):
            assert len({ranges[name] for name in (*node.input, *node.output)}) == 1


def test_onnxruntime_runs_every_convolution_in_int8(
    upsampling: bytes, z: Float32, tmp_path: Path
) -> None:
    int8 = quantized(onnx.load_from_string(upsampling), z)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    onnxruntime.InferenceSession(int8.SerializeToString(), options, providers=[CPU])
    optimized = onnx.load(tmp_path / "optimized.onnx")
    operators = [node.op_type for node in optimized.graph.node]
    assert "Conv" not in operators
    assert operators.count("QLinearConv") == 9


def test_the_logits_eight_bits_reach_no_further_than_the_sigmoid_bends(z: Float32) -> None:
    decoder = build_vae((1, 28, 28), 2, seed=1).decoder.eval()
    with torch.no_grad():
        decoder.body[-1].get_parameter("weight").mul_(300)
    rewritten = rewrite(export_graph(decoder, (2,), "z", ["image"], {}), INT8_PASSES)
    assert rewritten is not None
    int8 = quantized(rewritten, z)
    conv = [node for node in int8.graph.node if node.op_type == "Conv"][-1]
    (quantizer,) = [
        node
        for node in int8.graph.node
        if node.op_type == "QuantizeLinear" and node.input[0] == conv.output[0]
    ]
    scale = constants(int8)[quantizer.input[1]]
    assert 20 / 255 < scale <= 24.01 / 255


def test_a_hundred_percent_reaches_the_largest_value_of_any_column() -> None:
    """The widths of large images divide powers of two: a stride would miss whole columns."""
    conv = nn.Conv2d(1, 16, 1, bias=False).eval()
    model = export_graph(conv, (1, 128, 128), "image", ["features"], {})
    images = np.zeros((48, 1, 128, 128), np.float32)
    images[7, 0, 50, 45] = 1
    calibrated = CalibratedModel(model, images, [node.name for node in model.graph.node])
    assert calibrated.values["image"].max() == 1
    assert calibrated.values["image"].size < images.size / 3


class DenseSiLU(nn.Module):
    """A dense layer whose results reach from -40 to 10, behind it SiLU."""

    def __init__(self, keeps_product: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(16, 32), nn.Linear(32, 16)
        nn.init.constant_(self.first.bias, -15)
        nn.init.normal_(self.first.weight, std=2)
        self.keeps_product = keeps_product

    def forward(self, z: Tensor) -> Tensor:
        product = self.first(z)
        image = torch.sigmoid(self.second(nn.functional.silu(product)))
        return image + 0 * product[:, :16] if self.keeps_product else image


def _silu_graph(keeps_product: bool = False) -> onnx.ModelProto:
    module = DenseSiLU(keeps_product).eval()
    return export_graph(module, (16,), "z", ["image"], {"precision": "fp32"})


@pytest.mark.slow
def test_no_bits_are_spent_where_silu_gives_nothing() -> None:
    z = np.random.default_rng(0).standard_normal((256, 16)).astype(np.float32)
    for keeps_product, expected in ((False, -6), (True, None)):
        model = _silu_graph(keeps_product)
        nodes = int8_nodes(model)
        (name,) = [node.input[0] for node in model.graph.node if node.op_type == "Sigmoid"][:1]
        low, high = CalibratedModel(model, z, nodes).ranges(nodes, 100.0)[name]
        assert high > 0
        # A value that something else sees too keeps all of its range.
        assert low == expected if expected is not None else low < -30


def test_silu_takes_what_a_dense_layer_adds_up_to() -> None:
    z = np.random.default_rng(0).standard_normal((256, 16)).astype(np.float32)
    int8 = quantized(_silu_graph(), z)
    gemm = next(node for node in int8.graph.node if node.op_type == "Gemm")
    takers = [node.op_type for node in int8.graph.node if gemm.output[0] in node.input]
    assert sorted(takers) == ["Mul", "Sigmoid"]
    used = {name for node in int8.graph.node for name in node.input}
    assert {tensor.name for tensor in int8.graph.initializer} <= used
    session = onnxruntime.InferenceSession(int8.SerializeToString(), providers=[CPU])
    (image,) = session.run(None, {"z": z})
    with torch.no_grad():
        expected = DenseSiLU().eval()(torch.from_numpy(z)).numpy()
    assert np.abs(image - expected).max() < 0.05


def test_products_that_no_layer_takes_are_left_in_floats() -> None:
    """The heads of an encoder, whose results would lose bits, and a Relu that keeps its bytes."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(80, 80), nn.ReLU(), nn.Linear(80, 80)).eval()
    model = export_graph(module, (80,), "x", ["y"], {})
    x = np.random.default_rng(0).standard_normal((64, 80)).astype(np.float32)
    int8 = quantized(model, x)
    first, second = (node for node in int8.graph.node if node.op_type == "Gemm")
    assert second.output[0] == "y"
    takers = [node.op_type for node in int8.graph.node if first.output[0] in node.input]
    assert takers == ["QuantizeLinear"]
    session = onnxruntime.InferenceSession(int8.SerializeToString(), providers=[CPU])
    (y,) = session.run(None, {"x": x})
    with torch.no_grad():
        expected = module(torch.from_numpy(x)).numpy()
    assert np.abs(y - expected).max() < 0.05


def test_a_product_laid_out_for_an_output_is_left_in_floats() -> None:
    module = nn.Sequential(nn.Linear(80, 80), nn.Unflatten(1, (5, 4, 4))).eval()
    model = export_graph(module, (80,), "x", ["y"], {})
    x = np.random.default_rng(0).standard_normal((64, 80)).astype(np.float32)
    operators = [node.op_type for node in quantized(model, x).graph.node]
    assert operators.count("QuantizeLinear") == 1
