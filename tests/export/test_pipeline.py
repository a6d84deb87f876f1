"""What a bundle's files hold, and what keeps one from being written."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from tests.export.toys import dense_vae
from torch import Tensor, nn

import vae_runtime
from vae_export import export_bundle, export_checkpoint
from vae_runtime.bundle import Bundle
from vae_runtime.check import INT8_SLACK
from vae_runtime.engine.providers import CPU
from vae_runtime.errors import VAEError
from vae_train.checkpoint import load_checkpoint


def test_check_npz_holds_what_torch_gave(checkpoint: Path, exported: Path) -> None:
    saved = load_checkpoint(checkpoint).model
    with np.load(exported / "check.npz", allow_pickle=False) as arrays, torch.no_grad():
        assert arrays["images"].shape == (8, 1, 28, 28)
        assert arrays["latents"].shape == (8, 2)
        z_mean, z_log_var = saved.encoder(torch.from_numpy(arrays["images"]))
        decoded = saved.decoder(torch.from_numpy(arrays["latents"]))
        np.testing.assert_allclose(arrays["z_mean"], z_mean, atol=1e-6)
        np.testing.assert_allclose(arrays["z_log_var"], z_log_var, atol=1e-6)
        np.testing.assert_allclose(arrays["decoded"], decoded, atol=1e-6)


def test_score_quantiles_are_the_runtimes_own_scores(checkpoint: Path, exported: Path) -> None:
    images = load_checkpoint(checkpoint).heldout_images
    with vae_runtime.load(exported, provider="cpu") as vae:
        scores = vae.score(images)
        assert vae.variant.score_quantiles
        for quantile, value in vae.variant.score_quantiles.items():
            assert value == pytest.approx(np.quantile(scores, float(quantile)), abs=1e-3)


@pytest.fixture(scope="module")
def quantized(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Bundle]:
    """The bundle of `checkpoint` with int8, and with graphs of five images each."""
    target = tmp_path_factory.mktemp("quantized") / "small.vae"
    return export_checkpoint(checkpoint, target, precisions=["fp32", "int8"], batch=5)


@pytest.mark.slow
def test_every_variant_is_scored_with_its_own_graphs(
    checkpoint: Path, quantized: tuple[Path, Bundle]
) -> None:
    target, bundle = quantized
    images = load_checkpoint(checkpoint).heldout_images
    for variant in bundle.variants:
        with vae_runtime.VAE(target, "cpu", variant=variant.name) as vae:
            low_score = np.quantile(vae.score(images), 0.05)
        assert variant.score_quantiles["0.05"] == pytest.approx(low_score, abs=1e-6)
    changes = {variant.name: variant.elbo_change for variant in bundle.variants}
    assert changes["fp32"] == 0
    assert changes["batch5"] == pytest.approx(0, abs=1e-3)
    assert changes["int8"] != 0


@pytest.mark.slow
def test_int8_stays_inside_the_budget_and_is_smaller(
    checkpoint: Path, quantized: tuple[Path, Bundle]
) -> None:
    target, bundle = quantized
    fp32 = bundle.variant_named("fp32")
    int8 = bundle.variant_named("int8")
    assert int8.elbo_change is not None
    assert int8.elbo_change >= -0.3
    assert int8.encoder.bytes < 0.4 * fp32.encoder.bytes
    images = load_checkpoint(checkpoint).heldout_images[:37]
    with vae_runtime.load(target, provider="cpu", precision="int8") as vae:
        vae.check()
        whole = vae.reconstruct(images)
        one_by_one = [vae.reconstruct(image[None]) for image in images]
    assert np.concatenate(one_by_one).tobytes() == whole.tobytes()
    for file in (int8.encoder, int8.decoder):
        model = onnx.load(target / file.file)
        onnx.checker.check_model(model, full_check=True)
        assert {p.key: p.value for p in model.metadata_props}["precision"] == "int8"


def test_what_int8_is_off_by_is_known_for_unlikely_latents_too(
    quantized: tuple[Path, Bundle],
) -> None:
    target, bundle = quantized
    z = np.random.default_rng(1).uniform(-4, 4, (100, 2))
    with vae_runtime.load(target, provider="cpu") as vae:
        expected = vae.decode(z)
    for name in ("int8", "int8-arm"):
        report = bundle.variant_named(name).parity["decoder"]
        with vae_runtime.VAE(target, "cpu", variant=name) as vae:
            assert np.abs(vae.decode(z) - expected).max() <= INT8_SLACK * report["largest"]
            vae.check()


def test_arm_has_int8_of_its_own(quantized: tuple[Path, Bundle]) -> None:
    target, bundle = quantized
    arm = bundle.variant("int8", CPU, frozenset({"plain_layouts", "arm64"}))
    assert (arm.name, arm.requires) == ("int8-arm", ("arm64",))
    assert arm.elbo_change is not None
    assert arm.elbo_change >= -0.3
    assert set(arm.gains) == {"integer_dot_products"}
    # Another CPU with plain layouts takes what was made for any.
    assert bundle.variant("int8", CPU, frozenset({"plain_layouts"})).name == "int8"
    operators = [node.op_type for node in onnx.load(target / arm.decoder.file).graph.node]
    assert "DepthToSpace" not in operators


def test_a_decoder_without_sigmoid_is_refused(tmp_path: Path) -> None:
    encoder, decoder = dense_vae((1, 8, 8), 2)
    linear = nn.Sequential(*list(decoder)[:3], nn.Unflatten(1, (1, 8, 8)))
    with pytest.raises(VAEError, match="sigmoid"):
        export_bundle(
            encoder, linear, image_shape=(1, 8, 8), latent_dim=2, output=tmp_path / "x.vae"
        )
    assert not list(tmp_path.iterdir())


def test_transposed_convolutions_of_one_dimension_are_left_alone(tmp_path: Path) -> None:
    class Rows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up = nn.ConvTranspose1d(2, 4, 3, stride=2)

        def forward(self, z: Tensor) -> Tensor:
            rows: Tensor = self.up(z[:, :, None].expand(-1, -1, 4))
            return rows[..., :-1].sigmoid()[:, None, :, :]

    encoder, _ = dense_vae((1, 4, 8), 2)
    bundle = export_bundle(
        encoder, Rows(), image_shape=(1, 4, 8), latent_dim=2, output=tmp_path / "x.vae"
    )
    assert [variant.name for variant in bundle.variants] == ["fp32"]
