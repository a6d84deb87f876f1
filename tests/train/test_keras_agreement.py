"""The reference networks, losses and optimizer are the book's: compared with Keras itself."""

from typing import Any

import numpy as np
import pytest
import torch

keras = pytest.importorskip("keras")

from vae_train.config import PRESETS
from vae_train.data import Dataset
from vae_train.model import VAE, build_vae
from vae_train.objective import Losses
from vae_train.optim import build_optimizer, loss_scale

# mypy knows nothing of what importorskip returns.
KerasModel = Any

LATENT_DIM = 2
BOOK_PIXELS = 784
Pair = tuple[KerasModel, KerasModel, VAE]


def keras_encoder() -> KerasModel:
    """Section 8.4, listing 8.22."""
    image = keras.Input((28, 28, 1))
    x = keras.layers.Conv2D(32, 3, padding="same", activation="relu")(image)
    x = keras.layers.Conv2D(64, 3, padding="same", activation="relu", strides=2)(x)
    x = keras.layers.Conv2D(64, 3, padding="same", activation="relu")(x)
    x = keras.layers.Conv2D(64, 3, padding="same", activation="relu")(x)
    x = keras.layers.Dense(32, activation="relu")(keras.layers.Flatten()(x))
    return keras.Model(
        image, [keras.layers.Dense(LATENT_DIM)(x), keras.layers.Dense(LATENT_DIM)(x)]
    )


def keras_decoder() -> KerasModel:
    """Section 8.4, listing 8.24."""
    z = keras.Input((LATENT_DIM,))
    x = keras.layers.Dense(14 * 14 * 64, activation="relu")(z)
    x = keras.layers.Reshape((14, 14, 64))(x)
    x = keras.layers.Conv2DTranspose(32, 3, padding="same", activation="relu", strides=2)(x)
    return keras.Model(z, keras.layers.Conv2D(1, 3, padding="same", activation="sigmoid")(x))


def torch_state(encoder: KerasModel, decoder: KerasModel) -> dict[str, torch.Tensor]:
    """Keras's weights under this project's names and in torch's layout."""
    encoder_names = [f"encoder.body.{i}" for i in (0, 2, 4, 6, 9)]
    encoder_names += ["encoder.z_mean", "encoder.z_log_var"]
    decoder_names = [f"decoder.body.{i}" for i in (0, 3, 5)]
    state = {}
    for model, names in ((encoder, encoder_names), (decoder, decoder_names)):
        layers = [layer for layer in model.layers if layer.weights]
        for name, layer in zip(names, layers, strict=True):
            kernel, bias = (torch.tensor(np.asarray(weight)) for weight in layer.get_weights())
            kernel, bias = torch_layout(name, kernel, bias)
            state[f"{name}.weight"] = kernel.contiguous()
            state[f"{name}.bias"] = bias
    return state


def torch_layout(
    name: str, kernel: torch.Tensor, bias: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """A layer's weights in torch's layout.

    Pixels of a dense layer stand in the order (h, w, c) in Keras, (c, h, w) here.
    """
    if kernel.ndim == 4:
        return kernel.permute(3, 2, 0, 1), bias
    if name == "encoder.body.9":
        rows = kernel.reshape(14, 14, 64, -1).permute(2, 0, 1, 3)
        return rows.reshape(12544, -1).T, bias
    if name == "decoder.body.0":
        columns = kernel.reshape(-1, 14, 14, 64).permute(0, 3, 1, 2)
        ordered_bias = bias.reshape(14, 14, 64).permute(2, 0, 1)
        return columns.reshape(-1, 12544).T, ordered_bias.reshape(-1)
    return kernel.T, bias


def keras_losses(
    encoder: KerasModel, decoder: KerasModel, images: torch.Tensor, epsilon: torch.Tensor
) -> tuple[Any, Any]:
    """The book's two losses, both means: over pixels, and over latent dimensions."""
    z_mean, z_log_var = encoder(images)
    decoded = decoder(z_mean + keras.ops.exp(z_log_var) * epsilon)
    bce = keras.ops.mean(keras.losses.binary_crossentropy(images, decoded, axis=(1, 2, 3)))
    kl = keras.ops.mean(
        1 + z_log_var - keras.ops.square(z_mean) - keras.ops.exp(z_log_var), axis=-1
    )
    return bce, -5e-4 * keras.ops.mean(kl)


@pytest.fixture
def pair() -> Pair:
    keras.utils.set_random_seed(0)
    encoder, decoder = keras_encoder(), keras_decoder()
    vae = build_vae((1, 28, 28), LATENT_DIM, seed=0)
    vae.load_state_dict(torch_state(encoder, decoder))
    return encoder, decoder, vae


@pytest.fixture
def batches(data: Dataset) -> list[torch.Tensor]:
    """Three batches of 16 images, float in [0, 1]."""
    chunks = [data.train.images[start : start + 16] for start in (0, 16, 32)]
    return [torch.tensor(chunk).float() / 255 for chunk in chunks]


def test_parameter_counts_are_the_books() -> None:
    vae = build_vae((1, 28, 28), LATENT_DIM, seed=0)
    encoder_count = sum(p.numel() for p in vae.encoder.parameters())
    decoder_count = sum(p.numel() for p in vae.decoder.parameters())
    assert encoder_count == keras_encoder().count_params() == 494_244
    assert decoder_count == keras_decoder().count_params() == 56_385


def test_kerass_weights_give_kerass_outputs(pair: Pair, batches: list[torch.Tensor]) -> None:
    encoder, decoder, vae = pair
    with torch.no_grad():
        expected = encoder(batches[0].permute(0, 2, 3, 1))
        for keras_output, output in zip(expected, vae.encoder(batches[0]), strict=True):
            assert float((keras_output - output).abs().max()) < 1e-5
        z = torch.linspace(-4, 4, 32).reshape(16, 2)
        difference = decoder(z).permute(0, 3, 1, 2) - vae.decoder(z)
    assert float(difference.abs().max()) < 1e-5


def test_one_batch_has_the_books_two_losses(pair: Pair, batches: list[torch.Tensor]) -> None:
    encoder, decoder, vae = pair
    epsilon = torch.randn(16, LATENT_DIM, generator=torch.Generator().manual_seed(1))
    bce, kl = keras_losses(encoder, decoder, batches[0].permute(0, 2, 3, 1), epsilon)
    reconstruction, unweighted_kl = Losses(vae, "book")(batches[0], epsilon)
    assert float(reconstruction.mean()) / BOOK_PIXELS == pytest.approx(float(bce), rel=1e-5)
    kl_weight = PRESETS["book"].kl_weight
    assert kl_weight == pytest.approx(0.392)
    assert kl_weight * float(unweighted_kl.mean()) / BOOK_PIXELS == pytest.approx(
        float(kl), rel=1e-5
    )


def test_three_rmsprop_steps_give_kerass_weights(pair: Pair, batches: list[torch.Tensor]) -> None:
    encoder, decoder, vae = pair
    config = PRESETS["book"]
    losses = Losses(vae, "book")
    optimizer = build_optimizer(vae, config)
    keras_optimizer = keras.optimizers.RMSprop()
    start = torch_state(encoder, decoder)
    rng = torch.Generator().manual_seed(2)
    for images in batches:
        epsilon = torch.randn(16, LATENT_DIM, generator=rng)
        keras_step(encoder, decoder, keras_optimizer, images, epsilon)
        optimizer.zero_grad()
        reconstruction, kl = losses(images, epsilon)
        loss = reconstruction.mean() + config.kl_weight * kl.mean()
        (loss * loss_scale(config)).backward()
        optimizer.step()
    expected = torch_state(encoder, decoder)
    for name, weight in vae.state_dict().items():
        movement = float((expected[name] - start[name]).norm())
        assert movement > 0, name
        assert float((weight - expected[name]).norm()) < 1e-3 * movement, name


def keras_step(
    encoder: KerasModel,
    decoder: KerasModel,
    optimizer: Any,
    images: torch.Tensor,
    epsilon: torch.Tensor,
) -> None:
    variables = encoder.trainable_variables + decoder.trainable_variables
    for variable in variables:
        variable.value.grad = None
    bce, kl = keras_losses(encoder, decoder, images.permute(0, 2, 3, 1), epsilon)
    (bce + kl).backward()
    with torch.no_grad():
        optimizer.apply([variable.value.grad for variable in variables], variables)
