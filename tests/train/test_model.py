import pytest
import torch

from vae_runtime.errors import VAEError
from vae_train.config import NETWORKS_NAMES, NetworksName
from vae_train.model import build_vae, halvings
from vae_train.network_size import network_size


@pytest.mark.parametrize("networks", NETWORKS_NAMES)
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 16, 16), (3, 64, 48), (1, 128, 128)])
def test_any_supported_image_shape_comes_back(
    networks: NetworksName, shape: tuple[int, int, int]
) -> None:
    latent_dim = 2 if networks == "cells" else 5
    vae = build_vae(shape, latent_dim, seed=0, networks=networks)
    z_mean, z_log_var = vae.encoder(torch.rand(2, *shape))
    image = vae.decoder(z_mean)
    assert z_mean.shape == z_log_var.shape == (2, latent_dim)
    assert image.shape == (2, *shape)
    assert 0 <= float(image.min()) <= float(image.max()) <= 1


def test_networks_grow_by_halving_until_sixteen_pixels() -> None:
    assert halvings((1, 28, 28), 16) == (1, 14, 14)
    assert halvings((3, 64, 64), 16) == (2, 16, 16)
    assert halvings((3, 128, 128), 16) == (3, 16, 16)


def test_an_image_size_that_cannot_be_halved_is_refused_with_one_that_can() -> None:
    with pytest.raises(VAEError, match="27×28.*26×28"):
        build_vae((1, 27, 28), 2, seed=0)


def test_the_seed_decides_the_weights_and_nothing_else_is_touched() -> None:
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    first, second, other = (build_vae((1, 28, 28), 2, seed=s).state_dict() for s in (3, 3, 4))
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(first[k], second[k]) for k in first)
    assert not torch.equal(first["encoder.z_mean.weight"], other["encoder.z_mean.weight"])


def test_weights_are_glorot_uniform_and_biases_zero() -> None:
    weights = build_vae((1, 28, 28), 2, seed=0).state_dict()
    limit = (6 / (9 * 32 + 9 * 64)) ** 0.5
    kernel = weights["encoder.body.2.weight"]
    assert limit * 0.99 < float(kernel.abs().max()) <= limit
    assert float(kernel.std()) == pytest.approx(limit / 3**0.5, rel=0.02)
    assert all(not w.any() for name, w in weights.items() if name.endswith("bias"))


def test_the_deep_decoder_costs_no_more_multiplications_than_the_reference() -> None:
    def multiplications(networks: NetworksName) -> int:
        decoder = build_vae((1, 28, 28), 2, seed=0, networks=networks).decoder
        return network_size(decoder, torch.zeros(1, 2)).multiply_accumulates

    assert multiplications("deep") <= multiplications("reference")


def test_cells_are_the_deep_networks_with_another_head() -> None:
    deep = build_vae((1, 28, 28), 2, seed=0, networks="deep").state_dict()
    cells = build_vae((1, 28, 28), 2, seed=0, networks="cells").state_dict()
    assert all(cells[name].shape == weight.shape for name, weight in deep.items())
    assert all(name.startswith("encoder.") for name in cells if name not in deep)
