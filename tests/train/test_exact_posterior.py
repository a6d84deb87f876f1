"""The posterior on a grid, and log p(x), against sums that are taken otherwise."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vae_runtime.arrays import UInt8
from vae_runtime.errors import VAEError
from vae_train import exact_posterior
from vae_train.evaluation import evaluate_elbo
from vae_train.exact_posterior import (
    RenewedTable,
    decoder_table,
    drawn_points,
    exact_log_likelihood,
)
from vae_train.model import VAE, Decoder, Encoder, build_vae
from vae_train.objective import reconstruction_loss
from vae_train.prior_cells import middle_points

SIDE = 8


def small_vae(latent_dim: int) -> VAE:
    """A decoder of 8×8 pixels with sharp edges, so that posteriors are narrow."""
    decoder_body = nn.Sequential(
        nn.Linear(latent_dim, 32),
        nn.Tanh(),
        nn.Linear(32, SIDE * SIDE),
        nn.Unflatten(1, (1, SIDE, SIDE)),
    )
    encoder_body = nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, 8))
    vae = VAE(Encoder(encoder_body, 8, latent_dim), Decoder(decoder_body), "bernoulli", 1)
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for layer in (decoder_body[0], decoder_body[2]):
            for parameter in layer.parameters():
                parameter.copy_(2 * torch.randn(parameter.shape, generator=rng))
    return vae.eval()


@torch.no_grad()
def own_images(vae: VAE, count: int) -> UInt8:
    """Decoded images of draws from the prior, (count, 1, 8, 8)."""
    latent_dim = vae.latent_dim
    z = torch.randn(count, latent_dim, generator=torch.Generator().manual_seed(1))
    images: UInt8 = (vae.decoder(z) * 255).round().to(torch.uint8).numpy()
    return images


@torch.no_grad()
def brute_force(vae: VAE, image: Tensor, steps: int) -> float:
    """log ∫ p(x | z) p(z) dz of one image (1, 1, 8, 8), by equal steps of z from -6 to 6."""
    latent_dim = vae.latent_dim
    axis = torch.linspace(-6, 6, steps, dtype=torch.float64)
    z = torch.cartesian_prod(*[axis] * latent_dim).view(-1, latent_dim)
    log_prior = -0.5 * (z.square() + math.log(2 * math.pi)).sum(1)
    logits = vae.decoder.logits(z.float())
    log_likelihood = -reconstruction_loss(logits, image.expand(len(z), -1, -1, -1)).double()
    cell = math.log(12 / (steps - 1)) * latent_dim
    return float((log_likelihood + log_prior).logsumexp(0)) + cell


@pytest.mark.parametrize(("latent_dim", "steps"), [(1, 20_001), (2, 601)])
def test_log_p_of_x_is_that_of_a_finer_grid(latent_dim: int, steps: int) -> None:
    vae = small_vae(latent_dim)
    images = own_images(vae, 4)
    expected = []
    for image in torch.from_numpy(images).float() / 255:
        expected.append(brute_force(vae, image[None], steps))
    np.testing.assert_allclose(exact_log_likelihood(vae, images), expected, atol=0.02)


def test_log_p_of_x_is_the_same_in_many_small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    vae = small_vae(2)
    images = own_images(vae, 5)
    whole = exact_log_likelihood(vae, images, 1024)
    monkeypatch.setattr(exact_posterior, "MAX_LOGITS", 100 * SIDE * SIDE)
    np.testing.assert_allclose(exact_log_likelihood(vae, images, 1024), whole, atol=1e-4)


def test_the_elbo_is_below_log_p_of_x() -> None:
    vae = small_vae(2)
    images = own_images(vae, 20)
    elbo = evaluate_elbo(vae, "standard", images, samples=200).elbo
    assert (exact_log_likelihood(vae, images) > elbo).all()


def test_models_that_a_grid_does_not_fit_are_refused() -> None:
    images = np.zeros((1, 1, 28, 28), np.uint8)
    with pytest.raises(VAEError, match="needs one or two latent dimensions, not 3"):
        exact_log_likelihood(build_vae((1, 28, 28), 3, seed=0), images)
    gaussian = build_vae((1, 28, 28), 2, seed=0, likelihood="gaussian")
    with pytest.raises(VAEError, match="needs the Bernoulli likelihood"):
        exact_log_likelihood(gaussian, images)


def test_a_table_has_the_decoders_log_likelihoods() -> None:
    vae = small_vae(2)
    z = middle_points(25, 2)
    images = torch.rand(3, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(2))
    found = decoder_table(vae.decoder, z).log_likelihoods(images)
    for i in range(3):
        repeated = images[i].expand(25, -1, -1, -1)
        expected = -reconstruction_loss(vae.decoder.logits(z), repeated)
        torch.testing.assert_close(found[i], expected, atol=1e-3, rtol=1e-5)


def test_points_are_drawn_as_often_as_they_are_probable() -> None:
    posterior = torch.tensor([[0.1, 0.2, 0.7], [0.0, 1.0, 0.0]])
    drawn = drawn_points(posterior, 20_000, torch.Generator().manual_seed(0))
    shares = torch.stack([torch.bincount(row, minlength=3) for row in drawn]) / 20_000
    # Three standard deviations of a share are 0.01.
    torch.testing.assert_close(shares, posterior, atol=0.01, rtol=0)


def changed(decoder: Decoder) -> None:
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.add_(0.1)


def test_a_table_is_renewed_after_its_lifetime_at_other_places() -> None:
    decoder = small_vae(2).decoder
    renewed = RenewedTable(decoder, 2, cells=16, lifetime=3)
    rng = torch.Generator().manual_seed(0)
    tables = []
    for _ in range(4):
        tables.append(renewed.next(rng))
        changed(decoder)
    assert tables[0] is tables[1] is tables[2]
    assert tables[3] is not tables[2]
    assert not torch.equal(tables[3].z, tables[2].z)


def test_a_table_that_is_resumed_is_the_one_of_the_decoder_as_it_was() -> None:
    decoder = small_vae(2).decoder
    first = RenewedTable(decoder, 2, cells=16, lifetime=3)
    rng = torch.Generator().manual_seed(0)
    table = first.next(rng)
    changed(decoder)
    second = RenewedTable(decoder, 2, cells=16, lifetime=3)
    second.load_state_dict(first.state_dict())
    again = second.next(rng)
    assert torch.equal(again.z, table.z)
    assert torch.equal(again.logits, table.logits)
