"""The reference networks, losses and optimiser are those of the book: compared with Keras itself."""

import numpy as np
import pytest
import torch

keras = pytest.importorskip("keras")

from vae_train.config import PRESETS
from vae_train.model import VAE, build_vae
from vae_train.objective import Losses, kl_loss, reconstruction_loss
from vae_train.optim import build_optimizer

LATENT_DIM = 2


def keras_encoder() -> "keras.Model":
    """Section 8.4, listing 8.22."""
    image = keras.Input((28, 28, 1))
    x = keras.layers.Conv2D(32, 3, padding="same", activation="relu")(image)
    x = keras.layers.Conv2D(64, 3, padding="same", activation="relu", strides=2)(x)
    x = keras.layers.Conv2D(64, 3, padding="same", activation="relu")(x)
    x = keras.layers.Conv2D(64, 3, padding="same", activation="relu")(x)
    x = keras.layers.Dense(32, activation="relu")(keras.layers.Flatten()(x))
    return keras.Model(image, [keras.layers.Dense(LATENT_DIM)(x), keras.layers.Dense(LATENT_DIM)(x)])


def keras_decoder() -> "keras.Model":
    """Section 8.4, listing 8.24."""
    z = keras.Input((LATENT_DIM,))
    x = keras.layers.Dense(14 * 14 * 64, activation="relu")(z)
    x = keras.layers.Reshape((14, 14, 64))(x)
    x = keras.layers.Conv2DTranspose(32, 3, padding="same", activation="relu", strides=2)(x)
    return keras.Model(z, keras.layers.Conv2D(1, 3, padding="same", activation="sigmoid")(x))


def torch_state(encoder: "keras.Model", decoder: "keras.Model") -> dict[str, torch.Tensor]:
    """Keras's weights under our names and in torch's layout."""
    ours = [
        [*(f"encoder.body.{i}" for i in (0, 2, 4, 6, 9)), "encoder.z_mean", "encoder.z_log_var"],
        [f"decoder.body.{i}" for i in (0, 3, 5)],
    ]
    state = {}
    for model, names in zip((encoder, decoder), ours, strict=True):
        layers = [layer for layer in model.layers if layer.weights]
        for name, layer in zip(names, layers, strict=True):
            kernel, bias = (torch.tensor(np.asarray(w)) for w in layer.get_weights())
            if kernel.ndim == 4:
                kernel = kernel.permute(3, 2, 0, 1)
            elif name == "encoder.body.9":  # rows in the order (h, w, c), ours are (c, h, w)
                kernel = kernel.reshape(14, 14, 64, -1).permute(2, 0, 1, 3).reshape(12544, -1).T
            elif name == "decoder.body.0":
                kernel = kernel.reshape(-1, 14, 14, 64).permute(0, 3, 1, 2).reshape(-1, 12544).T
                bias = bias.reshape(14, 14, 64).permute(2, 0, 1).reshape(-1)
            else:
                kernel = kernel.T
            state |= {f"{name}.weight": kernel.contiguous(), f"{name}.bias": bias}
    return state


def keras_losses(encoder, decoder, images, epsilon):
    """The book's two losses, both means: over pixels, and over latent dimensions."""
    z_mean, z_log_var = encoder(images)
    decoded = decoder(z_mean + keras.ops.exp(z_log_var) * epsilon)
    bce = keras.ops.mean(keras.losses.binary_crossentropy(images, decoded, axis=(1, 2, 3)))
    kl = keras.ops.mean(1 + z_log_var - keras.ops.square(z_mean) - keras.ops.exp(z_log_var), axis=-1)
    return bce, -5e-4 * keras.ops.mean(kl)


@pytest.fixture
def pair() -> tuple["keras.Model", "keras.Model", VAE]:
    keras.utils.set_random_seed(0)
    encoder, decoder = keras_encoder(), keras_decoder()
    vae = build_vae((1, 28, 28), LATENT_DIM, seed=0)
    vae.load_state_dict(torch_state(encoder, decoder))
    return encoder, decoder, vae


@pytest.fixture
def batches(data) -> list[torch.Tensor]:
    return [torch.tensor(data.train.images[i * 16 : (i + 1) * 16]).float() / 255 for i in range(3)]


def test_parameter_counts_are_the_books() -> None:
    vae = build_vae((1, 28, 28), LATENT_DIM, seed=0)
    assert sum(p.numel() for p in vae.encoder.parameters()) == keras_encoder().count_params() == 494_244
    assert sum(p.numel() for p in vae.decoder.parameters()) == keras_decoder().count_params() == 56_385


def test_kerass_weights_give_kerass_outputs(pair, batches) -> None:
    encoder, decoder, vae = pair
    with torch.no_grad():
        theirs = encoder(batches[0].permute(0, 2, 3, 1))
        for a, b in zip(theirs, vae.encoder(batches[0]), strict=True):
            assert float((a - b).abs().max()) < 1e-5
        z = torch.linspace(-4, 4, 32).reshape(16, 2)
        difference = decoder(z).permute(0, 3, 1, 2) - vae.decoder(z)
    assert float(difference.abs().max()) < 1e-5


def test_one_batch_has_the_books_two_losses(pair, batches) -> None:
    encoder, decoder, vae = pair
    epsilon = torch.randn(16, LATENT_DIM, generator=torch.Generator().manual_seed(1))
    bce, kl = keras_losses(encoder, decoder, batches[0].permute(0, 2, 3, 1), epsilon)
    reconstruction, our_kl = Losses(vae, "book")(batches[0], epsilon)
    assert float(reconstruction.mean()) / 784 == pytest.approx(float(bce), rel=1e-5)
    kl_weight = PRESETS["book"].kl_weight
    assert kl_weight == pytest.approx(0.392)
    assert kl_weight * float(our_kl.mean()) / 784 == pytest.approx(float(kl), rel=1e-5)


def test_three_rmsprop_steps_give_kerass_weights(pair, batches) -> None:
    encoder, decoder, vae = pair
    losses, config = Losses(vae, "book"), PRESETS["book"]
    ours = build_optimizer(vae, config)
    theirs = keras.optimizers.RMSprop()
    start = torch_state(encoder, decoder)
    variables = encoder.trainable_variables + decoder.trainable_variables
    noise = torch.Generator().manual_seed(2)
    for images in batches:
        epsilon = torch.randn(16, LATENT_DIM, generator=noise)
        for variable in variables:
            variable.value.grad = None
        sum(keras_losses(encoder, decoder, images.permute(0, 2, 3, 1), epsilon)).backward()
        with torch.no_grad():
            theirs.apply([variable.value.grad for variable in variables], variables)
        ours.zero_grad()
        reconstruction, kl = losses(images, epsilon)
        ((reconstruction.mean() + config.kl_weight * kl.mean()) / 784).backward()
        ours.step()
    expected = torch_state(encoder, decoder)
    for name, weight in vae.state_dict().items():
        movement = float((expected[name] - start[name]).norm())
        assert movement > 0, name
        assert float((weight - expected[name]).norm()) < 1e-3 * movement, name


def test_the_losses_are_those_of_the_normal_distribution() -> None:
    z_mean, log_var = torch.tensor([[0.5, -1.0]]), torch.tensor([[0.3, -0.7]])
    posterior = torch.distributions.Normal(z_mean, (0.5 * log_var).exp())
    expected = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0)).sum()
    assert float(kl_loss(z_mean, log_var)[0]) == pytest.approx(float(expected), rel=1e-6)
    logits, image = torch.randn(1, 3, 4, 4), torch.rand(1, 3, 4, 4)
    log_variance = torch.tensor([-1.0, 0.0, 0.5])
    scale = (0.5 * log_variance).exp().view(3, 1, 1)
    density = torch.distributions.Normal(logits.sigmoid(), scale).log_prob(image).sum()
    assert float(reconstruction_loss(logits, image, log_variance)[0]) == pytest.approx(-float(density), rel=1e-5)
