import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from vae_runtime.errors import VAEError
from vae_train.model import LastConv, UpConv, build_vae, halvings


@pytest.mark.parametrize("networks", ["reference", "deep"])
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 16, 16), (3, 64, 48), (1, 128, 128)])
def test_any_supported_image_shape_comes_back(networks: str, shape: tuple[int, int, int]) -> None:
    vae = build_vae(shape, 5, seed=0, networks=networks)
    z_mean, z_log_var = vae.encoder(torch.rand(2, *shape))
    image = vae.decoder(z_mean)
    assert z_mean.shape == z_log_var.shape == (2, 5)
    assert image.shape == (2, *shape)
    assert 0 <= float(image.min()) <= float(image.max()) <= 1


def test_networks_grow_by_halving_until_sixteen_pixels() -> None:
    assert halvings((1, 28, 28), 16) == (1, 14, 14)
    assert halvings((3, 64, 64), 16) == (2, 16, 16)
    assert halvings((3, 128, 128), 16) == (3, 16, 16)


def test_an_image_size_that_cannot_be_halved_is_refused_with_one_that_can() -> None:
    with pytest.raises(VAEError, match="27×28.*26×28"):
        build_vae((1, 27, 28), 2, seed=0)


def test_training_computes_the_same_image_and_keeps_channels_last() -> None:
    up, x = UpConv(8, 6), torch.rand(2, 8, 5, 7).to(memory_format=torch.channels_last).requires_grad_()
    training, evaluation = up.train()(x), up.eval()(x)
    torch.testing.assert_close(training, evaluation)
    training.relu().sum().backward()
    assert x.grad is not None
    assert x.grad.is_contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        assert up.train()(x).dtype == torch.bfloat16


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
    def multiplications(networks: str) -> int:
        total = 0

        def count(module, inputs, output) -> None:
            nonlocal total
            if isinstance(module, torch.nn.ConvTranspose2d):
                total += module.weight.numel() * inputs[0].shape[2] * inputs[0].shape[3]
            elif isinstance(module, torch.nn.Conv2d):
                total += module.weight.numel() * output.shape[2] * output.shape[3]
            elif isinstance(module, torch.nn.Linear):
                total += module.weight.numel()

        decoder = build_vae((1, 28, 28), 2, seed=0, networks=networks).decoder
        for module in decoder.modules():
            module.register_forward_hook(count)
        decoder(torch.zeros(1, 2))
        return total

    assert multiplications("deep") <= multiplications("reference")


sizes = st.integers(1, 6)


@given(n=sizes, channels=sizes, out=st.integers(1, 3), height=sizes, width=sizes, seed=st.integers(0, 99))
def test_the_last_convolution_trains_as_an_ordinary_one(
    n: int, channels: int, out: int, height: int, width: int, seed: int
) -> None:
    random = torch.Generator().manual_seed(seed)
    plain, ours = nn.Conv2d(channels, out, 3, padding=1), LastConv(channels, out).train()
    ours.load_state_dict(plain.state_dict())
    x = torch.randn(n, channels, height, width, generator=random).requires_grad_()
    upstream = torch.randn(n, out, height, width, generator=random)
    results = []
    for layer in (plain, ours):
        image = layer(x)
        results.append((image, *torch.autograd.grad(image, [x, *layer.parameters()], upstream)))
    for want, got in zip(*results, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)
