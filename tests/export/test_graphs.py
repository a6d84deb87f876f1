"""What a portable graph is: names, versions, dynamic batch, nothing of the exporter left in it."""

import logging
import warnings

import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from torch import nn

from vae_export.graphs import IR_VERSION, OPSET, BookEncoder, export_graph
from vae_export.parity import BATCHES, session
from vae_runtime.errors import VAEError
from vae_train.model import build_vae

NOTES = {"producer": "vae-edge", "latent_dim": "2"}
PLAIN_OPS = {"Conv", "ConvTranspose", "Gemm", "Relu", "Reshape", "Sigmoid", "Slice", "Pad", "Mul", "Constant"}


@pytest.fixture(scope="module")
def vae():
    return build_vae((1, 28, 28), 2, seed=0).eval()


@pytest.fixture(scope="module")
def encoder(vae):
    return export_graph(vae.encoder, (1, 28, 28), "image", ["z_mean", "z_log_var"], NOTES)


@pytest.fixture(scope="module")
def decoder(vae):
    return export_graph(vae.decoder, (2,), "z", ["image"], NOTES)


def test_versions_and_metadata(encoder, decoder):
    for model in (encoder, decoder):
        onnx.checker.check_model(model, full_check=True)
        assert model.ir_version == IR_VERSION <= 9
        assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", OPSET)]
        assert {entry.key: entry.value for entry in model.metadata_props} == NOTES
        assert {node.op_type for node in model.graph.node} <= PLAIN_OPS


def test_nothing_of_the_machine_or_the_exporter_is_left(encoder, decoder):
    for model in (encoder, decoder):
        content = model.SerializeToString()
        assert b"stack_trace" not in content
        assert b"site-packages" not in content
        assert not any(tensor.external_data for tensor in model.graph.initializer)


def test_names_and_shapes(encoder, decoder):
    def described(values):
        return [
            (v.name, [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim]) for v in values
        ]  # fmt: skip

    assert described(encoder.graph.input) == [("image", ["batch", 1, 28, 28])]
    assert described(encoder.graph.output) == [("z_mean", ["batch", 2]), ("z_log_var", ["batch", 2])]
    assert described(decoder.graph.input) == [("z", ["batch", 2])]
    assert described(decoder.graph.output) == [("image", ["batch", 1, 28, 28])]


@pytest.mark.parametrize("batch", BATCHES)
def test_every_batch_size_agrees_with_torch(vae, encoder, decoder, digits, batch):
    images = torch.from_numpy(digits[:batch] / np.float32(255))
    latents = torch.rand(batch, 2, generator=torch.Generator().manual_seed(batch)) * 8 - 4
    with torch.no_grad():
        expected = [*vae.encoder(images), vae.decoder(latents)]
    found = session(encoder.SerializeToString()).run(["z_mean", "z_log_var"], {"image": images.numpy()})
    found += session(decoder.SerializeToString()).run(["image"], {"z": latents.numpy()})
    for value, want in zip(found, expected, strict=True):
        np.testing.assert_allclose(value, want.numpy(), atol=1e-6)


def test_the_reference_evaluator_agrees(encoder, decoder, digits):
    images = digits[:2].astype(np.float32) / 255
    latents = np.array([[0.5, -1], [4, -4]], np.float32)
    for model, feed in ((encoder, {"image": images}), (decoder, {"z": latents})):
        expected = ReferenceEvaluator(model).run(None, feed)
        for value, want in zip(session(model.SerializeToString()).run(None, feed), expected, strict=True):
            np.testing.assert_allclose(value, want, atol=1e-5)


def test_the_books_log_variance_is_doubled(vae, encoder, digits):
    book = export_graph(BookEncoder(vae.encoder).eval(), (1, 28, 28), "image", ["z_mean", "z_log_var"], NOTES)
    feed = {"image": digits[:4].astype(np.float32) / 255}
    plain = session(encoder.SerializeToString()).run(None, feed)
    doubled = session(book.SerializeToString()).run(None, feed)
    np.testing.assert_allclose(doubled[0], plain[0], atol=1e-7)
    np.testing.assert_allclose(doubled[1], 2 * plain[1], atol=1e-7)


def test_the_same_module_gives_the_same_bytes(vae, decoder):
    again = export_graph(vae.decoder, (2,), "z", ["image"], NOTES)
    assert again.SerializeToString(deterministic=True) == decoder.SerializeToString(deterministic=True)


def test_exporting_is_silent_and_leaves_logging_and_warnings_as_they_were(vae, capfd):
    levels = {name: logging.getLogger(name).level for name in ("torch.onnx", "onnxscript")}
    filters = list(warnings.filters)
    export_graph(vae.decoder, (2,), "z", ["image"], NOTES)
    assert capfd.readouterr() == ("", "")
    assert {name: logging.getLogger(name).level for name in levels} == levels
    assert warnings.filters == filters


class FixedBatch(nn.Module):
    def forward(self, z):
        return z.reshape(2, 1, 1, 2).sigmoid()


class Svd(nn.Module):
    def forward(self, z):
        return torch.linalg.svd(z.reshape(-1, 2, 2))[0].sigmoid()


class Branching(nn.Module):
    def forward(self, z):
        return z.sigmoid() if z.sum() > 0 else z.tanh()


@pytest.mark.parametrize(
    ("module", "width"),
    [
        (FixedBatch(), 2),
        (Svd(), 4),
        (Branching(), 2),
    ],
)
def test_what_cannot_be_exported_is_named_in_one_line(module, width, capfd):
    with pytest.raises(VAEError, match=type(module).__name__) as caught:
        export_graph(module.eval(), (width,), "z", ["image"], {})
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")
