"""What people call: encoders and decoders from elsewhere, and checkpoints of vae-train."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from tests.export.toys import (
    TwoHeads,
    batch_norm,
    bilinear,
    convolutional_vae,
    dense_vae,
    group_norm,
    nearest,
    transposed,
)
from torch import Tensor, nn

import vae_runtime
from vae_export import export_bundle, export_checkpoint
from vae_runtime.arrays import Float32, ImageShape, UInt8
from vae_runtime.bundle import Bundle
from vae_runtime.errors import VAEError
from vae_train.checkpoint import load_checkpoint

# The reference evaluator is slow.
MAX_EVALUATED_PIXELS = 3 * 64 * 64

Case = tuple[ImageShape, int, Callable[[ImageShape, int], tuple[TwoHeads, nn.Sequential]]]


def convolutional(
    norm: Callable[[], nn.Module], upsample: Callable[[], nn.Module]
) -> Callable[[ImageShape, int], tuple[TwoHeads, nn.Sequential]]:
    def make(shape: ImageShape, latent_dim: int) -> tuple[TwoHeads, nn.Sequential]:
        return convolutional_vae(shape, latent_dim, norm, upsample)

    return make


CASES: dict[str, Case] = {
    "dense-1": ((1, 28, 28), 1, dense_vae),
    "dense-256": ((3, 32, 32), 256, dense_vae),
    "batch-nearest": ((1, 28, 28), 16, convolutional(batch_norm, nearest)),
    "group-bilinear": ((3, 64, 64), 32, convolutional(group_norm, bilinear)),
    "batch-kernel-4": ((3, 128, 128), 64, convolutional(batch_norm, transposed(4, 1))),
    "group-kernel-3": ((1, 32, 48), 2, convolutional(group_norm, transposed(3, 1, 1))),
    "plain-kernel-2": ((3, 28, 28), 8, convolutional(nn.Identity, transposed(2, 0))),
    "plain-kernel-5": ((1, 36, 36), 8, convolutional(nn.Identity, transposed(5, 2, 1))),
}


# The default run has a case with a dense layer and one with a transposed convolution.
QUICK_CASES = ("dense-1", "plain-kernel-2")
CASE_PARAMETERS = [
    pytest.param(name, marks=() if name in QUICK_CASES else pytest.mark.slow) for name in CASES
]


@pytest.fixture(params=CASE_PARAMETERS)
def case(
    request: pytest.FixtureRequest, tmp_path: Path
) -> tuple[Path, Bundle, nn.Module, nn.Module]:
    """A bundle of one case, its modules with running statistics that aren't the initial ones."""
    shape, latent_dim, make = CASES[request.param]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder, decoder = make(shape, latent_dim)
        for module in (*encoder.modules(), *decoder.modules()):
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None
                assert module.running_var is not None
                nn.init.uniform_(module.running_mean, -0.3, 0.3)
                nn.init.uniform_(module.running_var, 0.5, 2)
    path = tmp_path / "other.vae"
    bundle = export_bundle(encoder, decoder, image_shape=shape, latent_dim=latent_dim, output=path)
    return path, bundle, encoder.eval(), decoder.eval()


def assert_close(found: Float32, expected: Tensor) -> None:
    tolerance = 1e-5 * max(1, float(expected.abs().max()))
    np.testing.assert_allclose(found, expected.numpy(), atol=tolerance)


def test_modules_from_elsewhere(case: tuple[Path, Bundle, nn.Module, nn.Module]) -> None:
    path, bundle, encoder, decoder = case
    rng = np.random.default_rng(0)
    images = rng.random((2, *bundle.image_shape), np.float32)
    z = rng.standard_normal((2, bundle.latent_dim)).astype(np.float32)
    with torch.no_grad():
        expected_codes = list(encoder(torch.from_numpy(images)))
        expected_images = [decoder(torch.from_numpy(z))]
    with vae_runtime.load(path, provider="cpu") as vae:
        vae.check()
        for found, expected in zip(vae.encode(images), expected_codes, strict=True):
            assert_close(found, expected)
        assert_close(vae.decode(z), expected_images[0])
    for variant in bundle.variants:
        checks = (
            (variant.encoder.file, {"image": images[:1]}, expected_codes),
            (variant.decoder.file, {"z": z[:1]}, expected_images),
        )
        for file, feed, outputs in checks:
            model = onnx.load(path / file)
            onnx.checker.check_model(model, full_check=True)
            if np.prod(bundle.image_shape) <= MAX_EVALUATED_PIXELS:
                values = ReferenceEvaluator(model).run(None, feed)
                for value, output in zip(values, outputs, strict=True):
                    tolerance = 1e-5 * max(1, float(output.abs().max()))
                    np.testing.assert_allclose(value, output[:1].numpy(), atol=tolerance)


def test_the_callers_modules_stay_as_they_were(tmp_path: Path) -> None:
    encoder, decoder = dense_vae((1, 8, 8), 2)
    encoder.double().train()
    decoder.double().train()
    findings: list[str] = []
    export_bundle(
        encoder,
        decoder,
        image_shape=(1, 8, 8),
        latent_dim=2,
        output=tmp_path / "x.vae",
        on_finding=findings.append,
    )
    assert "weights: float64, exported in float32" in findings
    for module in (encoder, decoder):
        assert module.training
        assert {weights.dtype for weights in module.parameters()} == {torch.float64}


@pytest.mark.slow
def test_int8_of_somebody_elses_modules(tmp_path: Path, digits: UInt8) -> None:
    # Bytes don't pay for smaller products.
    encoder, decoder = dense_vae((1, 28, 28), 16, width=512)
    bundle = export_bundle(
        encoder,
        decoder,
        image_shape=(1, 28, 28),
        latent_dim=16,
        output=tmp_path / "x.vae",
        images=digits,
        precisions=["fp32", "int8"],
    )
    assert bundle.precisions == ("fp32", "int8")
    with pytest.raises(VAEError, match="int8 needs images"):
        export_bundle(
            encoder,
            decoder,
            image_shape=(1, 28, 28),
            latent_dim=16,
            output=tmp_path / "y.vae",
            precisions=["int8"],
        )


def test_the_bundle_carries_what_the_checkpoint_knows(checkpoint: Path, exported: Path) -> None:
    saved = load_checkpoint(checkpoint)
    values = json.loads((exported / "bundle.json").read_text())
    # 2 where the rewritten decoder is faster with one kind of layouts alone.
    assert values["schema"] in (1, 2)
    assert set(values["labels"]) == set(saved.label_statistics)
    assert values["training"]["preset"] == "default"
    assert set(values["score_quantiles"]) == {"0.001", "0.01", "0.05"}
    assert values["variants"][0]["providers"] == ["*"]
    notes = {p.key: p.value for p in onnx.load(exported / "decoder.onnx").metadata_props}
    assert notes["latent_dim"] == "2"
    assert notes["image_shape"] == "1,28,28"
    assert notes["precision"] == "fp32"
    assert len(notes["checkpoint_sha256"]) == 64


@pytest.mark.slow
def test_a_book_checkpoint_samples_with_its_own_deviation(
    book_checkpoint: Path, tmp_path: Path
) -> None:
    target, _ = export_checkpoint(book_checkpoint, tmp_path / "book.vae")
    saved = load_checkpoint(book_checkpoint)
    with vae_runtime.load(target, provider="cpu") as vae, torch.no_grad():
        images = saved.heldout_images[:16]
        _, log_deviation = saved.model.encoder(torch.from_numpy(images).float() / 255)
        _, z_log_var = vae.encode(images)
    np.testing.assert_allclose(z_log_var, 2 * log_deviation.numpy(), atol=1e-5)


def test_what_is_not_a_bundle_is_never_replaced(checkpoint: Path, tmp_path: Path) -> None:
    copy = tmp_path / "model.pt"
    copy.write_bytes(checkpoint.read_bytes())
    other = tmp_path / "notes"
    other.mkdir()
    (other / "keep").write_text("mine")
    with pytest.raises(VAEError, match="not a bundle"):
        export_checkpoint(copy, other, force=True)
    assert (other / "keep").read_text() == "mine"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.pt", "notes"]


def test_a_truncated_checkpoint_is_one_line(checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(checkpoint.read_bytes()[:-5000])
    with pytest.raises(VAEError, match=r"model.pt") as caught:
        export_checkpoint(path)
    assert "\n" not in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["model.pt"]
