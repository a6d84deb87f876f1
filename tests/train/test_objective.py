import pytest
import torch

from vae_train.model import build_vae
from vae_train.objective import Losses, kl_loss, reconstruction_loss, sample


def test_noise_is_on_what_the_encoder_sees_and_on_nothing_else() -> None:
    vae = build_vae((1, 28, 28), 2, seed=0)
    images = torch.rand(3, 1, 28, 28)
    epsilon = torch.randn(3, 2)
    noise = torch.randn(3, 1, 28, 28)
    reconstruction, kl = Losses(vae, "standard")(images, epsilon, noise)
    z_mean, z_log_var = vae.encoder(images + noise)
    logits = vae.decoder.logits(sample(z_mean, z_log_var, epsilon))
    torch.testing.assert_close(reconstruction, reconstruction_loss(logits, images))
    torch.testing.assert_close(kl, kl_loss(z_mean, z_log_var))
    assert not torch.allclose(kl, Losses(vae, "standard")(images, epsilon)[1])


def test_the_losses_are_those_of_the_normal_distribution() -> None:
    z_mean = torch.tensor([[0.5, -1.0]])
    log_var = torch.tensor([[0.3, -0.7]])
    posterior = torch.distributions.Normal(z_mean, (0.5 * log_var).exp())
    prior = torch.distributions.Normal(0.0, 1.0)
    expected = torch.distributions.kl_divergence(posterior, prior).sum()
    assert float(kl_loss(z_mean, log_var)[0]) == pytest.approx(float(expected), rel=1e-6)
    logits = torch.randn(1, 3, 4, 4)
    image = torch.rand(1, 3, 4, 4)
    pixel_log_var = torch.tensor([-1.0, 0.0, 0.5])
    scale = (0.5 * pixel_log_var).exp().view(3, 1, 1)
    loss = reconstruction_loss(logits, image, "gaussian", pixel_log_var)
    expected = torch.nn.functional.gaussian_nll_loss(
        logits.sigmoid(), image, scale.square().expand_as(image), full=True, reduction="sum"
    )
    assert float(loss[0]) == pytest.approx(float(expected), rel=1e-5)
