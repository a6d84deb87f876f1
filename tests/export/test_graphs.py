"""What a portable graph is: names, versions, dynamic batch, nothing of the exporter left in it."""

import importlib
import logging
import warnings
from collections.abc import Iterable

import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from torch import Tensor, nn

from vae_export.graphs import IR_VERSION, OPSET, export_graph
from vae_export.ort import open_session
from vae_export.parity import BATCHES
from vae_runtime.arrays import UInt8
from vae_runtime.errors import VAEError
from vae_train.model import VAE, build_vae

NOTES = {"producer": "vae-edge", "latent_dim": "2"}
PLAIN_OPERATORS = {
    "Conv",
    "ConvTranspose",
    "Gemm",
    "Relu",
    "Reshape",
    "Sigmoid",
    "Slice",
    "Pad",
    "Mul",
    "Constant",
}


@pytest.fixture(scope="module")
def vae() -> VAE:
    return build_vae((1, 28, 28), 2, seed=0).eval()


@pytest.fixture(scope="module")
def encoder(vae: VAE) -> onnx.ModelProto:
    return export_graph(vae.encoder, (1, 28, 28), "image", ["z_mean", "z_log_var"], NOTES)


@pytest.fixture(scope="module")
def decoder(vae: VAE) -> onnx.ModelProto:
    return export_graph(vae.decoder, (2,), "z", ["image"], NOTES)


def test_an_addition_of_a_small_number_stays() -> None:
    class Share(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            positive = torch.relu(x)
            return positive / (positive.sum(1, keepdim=True) + 1e-9)

    model = export_graph(Share(), (3,), "x", ["y"], {})
    x = np.array([[-1, -2, -3], [1, 2, 1]], np.float32)
    (y,) = open_session(model.SerializeToString()).run(None, {"x": x})
    np.testing.assert_allclose(y, np.array([[0, 0, 0], [0.25, 0.5, 0.25]]), atol=1e-6)


def test_an_onnxscript_whose_rules_are_elsewhere_is_warned_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rules = importlib.import_module("onnxscript.rewriter.rules.common._no_op")
    monkeypatch.delattr(rules, "rules")
    with pytest.warns(UserWarning, match="below 1e-8 may be lost"):
        export_graph(nn.Linear(2, 1), (2,), "x", ["y"], {})


@pytest.mark.parametrize("masked", [False, True])
def test_attention_without_heads_is_exported(masked: bool) -> None:
    class Attention(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            mask = x @ x.transpose(1, 2) if masked else None
            return nn.functional.scaled_dot_product_attention(x, 2 * x, value=-x, attn_mask=mask)

    model = export_graph(Attention(), (5, 4), "x", ["y"], {})
    x = torch.rand((3, 5, 4), generator=torch.Generator().manual_seed(0))
    (y,) = open_session(model.SerializeToString()).run(None, {"x": x.numpy()})
    np.testing.assert_allclose(y, Attention()(x).numpy(), atol=1e-6)


def test_versions_and_metadata(encoder: onnx.ModelProto, decoder: onnx.ModelProto) -> None:
    for model in (encoder, decoder):
        onnx.checker.check_model(model, full_check=True)
        assert model.ir_version == IR_VERSION <= 9
        assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", OPSET)]
        assert {entry.key: entry.value for entry in model.metadata_props} == NOTES
        assert {node.op_type for node in model.graph.node} <= PLAIN_OPERATORS


def test_nothing_of_the_machine_or_the_exporter_is_left(
    encoder: onnx.ModelProto, decoder: onnx.ModelProto
) -> None:
    for model in (encoder, decoder):
        model_bytes = model.SerializeToString()
        assert b"stack_trace" not in model_bytes
        assert b"site-packages" not in model_bytes
        assert not any(tensor.external_data for tensor in model.graph.initializer)


def test_names_and_shapes(encoder: onnx.ModelProto, decoder: onnx.ModelProto) -> None:
    def described(values: Iterable[onnx.ValueInfoProto]) -> list[tuple[str, list[str | int]]]:
        found = []
        for value in values:
            dims = value.type.tensor_type.shape.dim
            found.append((value.name, [dim.dim_param or dim.dim_value for dim in dims]))
        return found

    assert described(encoder.graph.input) == [("image", ["batch", 1, 28, 28])]
    assert described(encoder.graph.output) == [
        ("z_mean", ["batch", 2]),
        ("z_log_var", ["batch", 2]),
    ]
    assert described(decoder.graph.input) == [("z", ["batch", 2])]
    assert described(decoder.graph.output) == [("image", ["batch", 1, 28, 28])]


@pytest.mark.parametrize("batch", BATCHES)
def test_every_batch_size_agrees_with_torch(
    vae: VAE, encoder: onnx.ModelProto, decoder: onnx.ModelProto, digits: UInt8, batch: int
) -> None:
    images = torch.from_numpy(digits[:batch] / np.float32(255))
    z = torch.rand(batch, 2, generator=torch.Generator().manual_seed(batch)) * 8 - 4
    with torch.no_grad():
        expected = [*vae.encoder(images), vae.decoder(z)]
    encoder_session = open_session(encoder.SerializeToString())
    decoder_session = open_session(decoder.SerializeToString())
    found = encoder_session.run(["z_mean", "z_log_var"], {"image": images.numpy()})
    found += decoder_session.run(["image"], {"z": z.numpy()})
    for value, output in zip(found, expected, strict=True):
        np.testing.assert_allclose(value, output.numpy(), atol=1e-6)


def test_the_reference_evaluator_agrees(
    encoder: onnx.ModelProto, decoder: onnx.ModelProto, digits: UInt8
) -> None:
    images = digits[:2].astype(np.float32) / 255
    z = np.array([[0.5, -1], [4, -4]], np.float32)
    for model, feed in ((encoder, {"image": images}), (decoder, {"z": z})):
        expected = ReferenceEvaluator(model).run(None, feed)
        found = open_session(model.SerializeToString()).run(None, feed)
        for value, output in zip(found, expected, strict=True):
            np.testing.assert_allclose(value, output, atol=1e-5)


def test_the_same_module_gives_the_same_bytes(vae: VAE, decoder: onnx.ModelProto) -> None:
    again = export_graph(vae.decoder, (2,), "z", ["image"], NOTES)
    again_bytes = again.SerializeToString(deterministic=True)
    assert again_bytes == decoder.SerializeToString(deterministic=True)


def test_exporting_is_silent_and_leaves_logging_and_warnings_as_they_were(
    vae: VAE, capfd: pytest.CaptureFixture[str]
) -> None:
    levels = {name: logging.getLogger(name).level for name in ("torch.onnx", "onnxscript")}
    filters = list(warnings.filters)
    export_graph(vae.decoder, (2,), "z", ["image"], NOTES)
    assert capfd.readouterr() == ("", "")
    assert {name: logging.getLogger(name).level for name in levels} == levels
    assert warnings.filters == filters


class FixedBatch(nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        return z.reshape(2, 1, 1, 2).sigmoid()


class SingularVectors(nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        vectors: Tensor = torch.linalg.svd(z.reshape(-1, 2, 2))[0]
        return vectors.sigmoid()


class Branching(nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        return z.sigmoid() if z.sum() > 0 else z.tanh()


@pytest.mark.parametrize(
    ("module", "width"), [(FixedBatch(), 2), (SingularVectors(), 4), (Branching(), 2)]
)
def test_what_cannot_be_exported_is_named_in_one_line(
    module: nn.Module, width: int, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(VAEError, match=type(module).__name__) as caught:
        export_graph(module.eval(), (width,), "z", ["image"], {})
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_forward_that_looks_at_values_is_told_so() -> None:
    with pytest.raises(VAEError, match=r"looks at values of its input.*torch\.where"):
        export_graph(Branching().eval(), (2,), "z", ["image"], {})


class Draws(nn.Module):
    """Draws random numbers in its forward."""

    def forward(self, z: Tensor) -> Tensor:
        return z + torch.randn_like(z)


def test_an_operator_that_the_runtime_refuses_is_named_before_anything_is_written() -> None:
    with pytest.raises(VAEError, match=r"Draws: the runtime would refuse .* 'RandomNormalLike'"):
        export_graph(Draws(), (2,), "z", ["image"], {})


@pytest.mark.parametrize(
    "layer",
    [
        nn.GroupNorm(4, 16),
        nn.Upsample(scale_factor=2, mode="bicubic"),
        nn.PixelShuffle(2),
        nn.AdaptiveAvgPool2d(2),
        nn.GLU(1),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_layers_of_other_people_are_read_back(layer: nn.Module) -> None:
    first = (nn.Linear(2, 1024), nn.ReLU(), nn.Unflatten(1, (16, 8, 8)))
    decoder = nn.Sequential(*first, layer, nn.Sigmoid()).eval()
    assert export_graph(decoder, (2,), "z", ["image"], {}).graph.node


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(2, 64)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, z: Tensor) -> Tensor:
        tokens = self.first(z).view(z.shape[0], 8, 8)
        mixed, _ = self.attention(tokens, tokens, tokens)
        return torch.sigmoid(mixed)[:, None]


def test_attention_is_read_back() -> None:
    assert export_graph(Attention().eval(), (2,), "z", ["image"], {}).graph.node
