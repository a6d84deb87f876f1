"""What is said of somebody's modules, and what is measured on images."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.export.toys import dense_vae

from vae_export.calibration import read_labelled
from vae_export.foreign import Description, source_of_modules
from vae_runtime.arrays import Float32, UInt8
from vae_runtime.bundle import Likelihood, Preprocess
from vae_runtime.errors import VAEError

SHAPE = (1, 8, 8)


@pytest.fixture
def images(digits: UInt8) -> Float32:
    return digits[:40, :, 10:18, 10:18].astype(np.float32) / np.float32(255)


def test_labels_as_a_tensor_or_as_its_items_keep_their_names(images: Float32) -> None:
    labels = torch.arange(40) % 3
    for given in (labels, list(labels), labels.numpy()):
        description = Description(image_shape=SHAPE, images=images, labels=given)
        source = source_of_modules(dense_vae(SHAPE, 2), description, lambda line: None)
        assert list(source.labels) == ["0", "1", "2"]


def test_a_likelihood_is_told_given_or_measured(images: Float32) -> None:
    modules = dense_vae(SHAPE, 2)
    told = Description(image_shape=SHAPE, told_likelihood="gaussian")
    assert source_of_modules(modules, told, print).likelihood == Likelihood("gaussian", (0.0,))
    given = Likelihood("gaussian", (-3.0,))
    said = Description(image_shape=SHAPE, likelihood=given, told_likelihood="bernoulli")
    assert source_of_modules(modules, said, print).likelihood == given
    asked = Description(image_shape=SHAPE, likelihood="gaussian", images=images)
    measured = source_of_modules(modules, asked, print).likelihood.log_var[0]
    encoder, decoder = modules
    with torch.no_grad():
        error = decoder(encoder(torch.from_numpy(images))[0]).numpy() - images
    assert measured == pytest.approx(np.log(np.square(error).mean()), abs=1e-4)
    no_images = Description(image_shape=SHAPE, likelihood="gaussian")
    with pytest.raises(ValueError, match="one log variance per channel"):
        source_of_modules(modules, no_images, print)


def test_a_continuous_bernoulli_decoder_gives_the_parameter_and_the_bundle_the_mean(
    images: Float32,
) -> None:
    modules = dense_vae(SHAPE, 2)
    description = Description(image_shape=SHAPE, likelihood="continuous_bernoulli", images=images)
    lines: list[str] = []
    source = source_of_modules(modules, description, lines.append)
    assert source.likelihood == Likelihood("continuous_bernoulli")
    assert any("the bundle's images are its mean" in line for line in lines)
    z = torch.linspace(-2, 2, 10).reshape(5, 2)
    with torch.no_grad():
        parameter = modules[1](z)
        mean = source.decoder(z)
    expected = torch.distributions.ContinuousBernoulli(probs=parameter.double()).mean
    torch.testing.assert_close(mean.double(), expected, atol=1e-5, rtol=0)


def test_latents_of_another_size_than_said_are_named() -> None:
    description = Description(image_shape=SHAPE, latent_dim=3)
    with pytest.raises(VAEError, match="gives 2 latents, not 3"):
        source_of_modules(dense_vae(SHAPE, 2), description, print)


def test_models_whose_images_cannot_be_shown_are_said_to_be_so() -> None:
    lines: list[str] = []
    description = Description(image_shape=(4, 8, 8))
    source_of_modules(dense_vae((4, 8, 8), 2), description, lines.append)
    assert any("4 channels can't be written as pictures" in line for line in lines)


def test_as_many_labels_as_images_are_read(tmp_path: Path, images: Float32) -> None:
    np.save(tmp_path / "images.npy", images)
    (tmp_path / "labels.txt").write_text("a\nb\n" * 20)
    np.save(tmp_path / "labels.npy", np.arange(39))
    path = tmp_path / "images.npy"
    read, labels = read_labelled(path, tmp_path / "labels.txt", SHAPE, Preprocess())
    assert (read.shape, labels[:3]) == ((40, *SHAPE), ["a", "b", "a"])
    with pytest.raises(VAEError, match="39 labels for the 40 images"):
        read_labelled(path, tmp_path / "labels.npy", SHAPE, Preprocess())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_weights_of_another_type_are_exported_in_float32(dtype: torch.dtype) -> None:
    modules = dense_vae(SHAPE, 2)
    before = [module.to(dtype) for module in modules]
    findings: list[str] = []
    source = source_of_modules(before, Description(image_shape=SHAPE), findings.append)
    name = str(dtype).removeprefix("torch.")
    assert f"weights: {name}, exported in float32" in findings
    assert {weights.dtype for weights in source.decoder.parameters()} == {torch.float32}
    # The caller's own stay as they are.
    assert {weights.dtype for weights in modules[1].parameters()} == {dtype}
