"""int8: what is quantised, and what goes back to fp32 when it costs too much."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from vae_export.brightness import brightened
from vae_export.export import export_bundle
from vae_export.graphs import export_graph
from vae_export.parity import session
from vae_export.qdq import Calibrated
from vae_export.quantise import quantise, quantised, worthwhile
from vae_export.rewrites import INT8_PASSES, rewrite_for_cpu
from vae_train.model import build_vae


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


@pytest.fixture(scope="module")
def upsampling() -> bytes:
    """A decoder with two transposed convolutions, rewritten for int8, its weights drawn once."""
    torch.manual_seed(1)
    decoder = build_vae((1, 28, 28), 2, seed=1, networks="deep").decoder.eval()
    model = export_graph(decoder, (2,), "z", ["image"], {"precision": "fp32"})
    return bytes(rewrite_for_cpu(model.SerializeToString(), INT8_PASSES))


def test_all_that_is_concatenated_has_one_scale(upsampling: bytes, latents: np.ndarray) -> None:
    int8, _ = quantise(upsampling, latents, lambda graph: 0.0, 0.1)
    graph = onnx.load_from_string(int8).graph
    scales = {n.output[0]: tuple(n.input[1:3]) for n in graph.node if n.op_type == "DequantizeLinear"}
    scales |= {n.input[0]: tuple(n.input[1:3]) for n in graph.node if n.op_type == "QuantizeLinear"}
    values = {t.name: onnx.numpy_helper.to_array(t).tobytes() for t in graph.initializer}
    joined = [node for node in graph.node if node.op_type == "Concat"]
    assert len(joined) == 4
    for node in joined:
        assert len({tuple(values[name] for name in scales[v]) for v in (*node.input, *node.output)}) == 1


def test_onnxruntime_runs_every_convolution_in_int8(upsampling: bytes, latents: np.ndarray, tmp_path: Path) -> None:
    int8, _ = quantise(upsampling, latents, lambda graph: 0.0, 0.1)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    onnxruntime.InferenceSession(int8, options, providers=["CPUExecutionProvider"])
    kinds = [node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node]
    assert "Conv" not in kinds
    assert kinds.count("QLinearConv") == 9


def test_the_logits_eight_bits_reach_no_further_than_the_sigmoid_bends(latents: np.ndarray) -> None:
    decoder = build_vae((1, 28, 28), 2, seed=1).decoder.eval()
    with torch.no_grad():
        decoder.body[-1].weight.mul_(300)
    plain = export_graph(decoder, (2,), "z", ["image"], {"precision": "fp32"}).SerializeToString()
    int8, _ = quantise(rewrite_for_cpu(plain, INT8_PASSES), latents, lambda graph: 0.0, 0.1)
    graph = onnx.load_from_string(int8).graph
    values = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    conv = next(node for node in reversed(graph.node) if node.op_type == "Conv")
    (quantiser,) = (n for n in graph.node if n.op_type == "QuantizeLinear" and n.input[0] == conv.output[0])
    assert 20 / 255 < values[quantiser.input[1]] <= 24.01 / 255


@pytest.mark.parametrize("side", [28, 26], ids=["blocks", "separated"])
def test_bias_correction_keeps_the_brightness_of_the_images(side: int, latents: np.ndarray) -> None:
    decoder = build_vae((3, side, side), 2, seed=1).decoder.eval()
    plain = export_graph(decoder, (2,), "z", ["image"], {"precision": "fp32"}).SerializeToString()
    rewritten = onnx.load_from_string(rewrite_for_cpu(plain, INT8_PASSES))
    layers = [name for layer in worthwhile(rewritten) for name in layer]
    int8 = Calibrated(rewritten, latents, layers).in_int8(layers, 99.0)
    (images,) = session(plain).run(None, {"z": latents})

    def difference(graph: bytes) -> np.ndarray:
        return np.abs(session(graph).run(None, {"z": latents})[0].mean((0, 2, 3)) - images.mean((0, 2, 3)))

    assert (difference(brightened(int8, latents, images)) < 0.2 * difference(int8)).all()


def exported(*layers: nn.Module) -> onnx.ModelProto:
    """A decoder of 2 latents from these layers behind a dense one to (16, 8, 8)."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(2, 1024), nn.ReLU(), nn.Unflatten(1, (16, 8, 8)), *layers).eval()
    return export_graph(module, (2,), "z", ["image"], {"precision": "fp32"})


def test_bias_correction_knows_the_channels_of_torchs_pixel_shuffle(latents: np.ndarray) -> None:
    model = exported(nn.Conv2d(16, 48, 3, padding=1), nn.PixelShuffle(4), nn.Sigmoid())
    content = model.SerializeToString()
    (images,) = session(content).run(None, {"z": latents})
    wanted = images + np.float32([0.01, -0.02, 0.03])[:, None, None]
    (got,) = session(brightened(content, latents, wanted)).run(None, {"z": latents})
    np.testing.assert_allclose(got.mean((0, 2, 3)), wanted.mean((0, 2, 3)), atol=1e-3)


@pytest.mark.parametrize("last", [nn.Identity(), nn.Hardtanh(0, 1)], ids=["linear", "clipped"])
def test_without_a_sigmoid_no_bias_is_corrected(last: nn.Module, latents: np.ndarray) -> None:
    content = exported(nn.Conv2d(16, 1, 3, padding=1), last).SerializeToString()
    (images,) = session(content).run(None, {"z": latents})
    assert brightened(content, latents, images + 0.1) == content


def test_a_hundred_percent_reaches_the_largest_value_of_any_column() -> None:
    """The widths of large images divide powers of two: a stride would see the same columns of every row."""
    model = export_graph(nn.Conv2d(1, 16, 1, bias=False).eval(), (1, 128, 128), "image", ["features"], {})
    images = np.zeros((48, 1, 128, 128), np.float32)
    images[7, 0, 50, 45] = 1
    calibrated = Calibrated(model, images, [node.name for node in model.graph.node])
    assert calibrated.values["image"].max() == 1
    assert calibrated.values["image"].size < images.size / 3


def test_values_concatenated_twice_share_one_scale(latents: np.ndarray) -> None:
    class Dense(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = (nn.Conv2d(c, 16, 3, padding=1) for c in (16, 32))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = torch.cat([x, self.first(x).relu() / 8], 1)
            return torch.cat([x, self.second(y).relu()], 1)

    model = exported(nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), Dense(), nn.Conv2d(32, 16, 3, padding=1), nn.Sigmoid())
    layers = [name for layer in worthwhile(model) for name in layer]
    calibrated = Calibrated(model, latents, layers)
    ranges = calibrated._ranges([*layers, *calibrated._movers(layers)], 99.9)
    for node in model.graph.node:
        if node.op_type == "Concat" and all(name in ranges for name in node.input):
            assert len({ranges[name] for name in (*node.input, *node.output)}) == 1


def test_a_gate_that_is_a_parameter_does_not_disturb(latents: np.ndarray) -> None:
    class Gate(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gate = nn.Parameter(torch.randn(16, 8, 8))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * self.gate.sigmoid()

    model = exported(Gate(), nn.Conv2d(16, 16, 3, padding=1), nn.Sigmoid())
    assert quantise(model.SerializeToString(), latents, lambda graph: 0.0, 0.1)[0] is not None


class SmallEncoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU())
        self.heads = nn.ModuleList([nn.Linear(32, 2), nn.Linear(32, 2)])

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        body = self.body(image)
        return self.heads[0](body), self.heads[1](body)


def test_a_decoder_without_int8_layers_stays_the_faster_of_the_fp32_ones(tmp_path: Path) -> None:
    torch.manual_seed(0)
    decoder = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 64), nn.Unflatten(1, (1, 8, 8)), nn.Sigmoid())
    images = np.random.default_rng(0).random((32, 1, 8, 8), np.float32)
    bundle = export_bundle(
        SmallEncoder(), decoder, image_shape=(1, 8, 8), latent_dim=2, output=tmp_path / "b.vae", images=images
    )
    portable = bundle.variants[0]
    faster = replace(portable, decoder=replace(portable.decoder, file="decoder.cpu.onnx"))
    int8 = quantised(portable, faster, tmp_path / "b.vae", images, bundle.likelihood)
    assert (int8.encoder.file, int8.decoder.file) == ("encoder.int8.onnx", "decoder.cpu.onnx")
