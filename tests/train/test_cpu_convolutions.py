"""The convolutions for training on a CPU compute what torch's compute, forward and backward."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from vae_train.cpu_convolutions import LastConv, UpConv, channels_last
from vae_train.model import build_vae

SIZES = st.integers(1, 6)


def test_training_computes_the_same_image_and_keeps_channels_last() -> None:
    up = UpConv(8, 6)
    nn.init.normal_(up.bias)
    x = torch.rand(2, 8, 5, 7).to(memory_format=torch.channels_last).requires_grad_()
    in_training = up.train()(x)
    torch.testing.assert_close(in_training, up.eval()(x))
    in_training.relu().sum().backward()
    assert x.grad is not None
    assert x.grad.is_contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        assert up.train()(x).dtype == torch.bfloat16


@given(
    n=SIZES,
    channels=SIZES,
    out=st.integers(1, 3),
    height=SIZES,
    width=SIZES,
    seed=st.integers(0, 99),
)
def test_the_last_convolution_trains_as_an_ordinary_one(
    n: int, channels: int, out: int, height: int, width: int, seed: int
) -> None:
    rng = torch.Generator().manual_seed(seed)
    ordinary = nn.Conv2d(channels, out, 3, padding=1)
    last = LastConv(channels, out).train()
    last.load_state_dict(ordinary.state_dict())
    x = torch.randn(n, channels, height, width, generator=rng).requires_grad_()
    upstream = torch.randn(n, out, height, width, generator=rng)
    results = []
    for layer in (ordinary, last):
        image = layer(x)
        gradients = torch.autograd.grad(image, [x, *layer.parameters()], upstream)
        results.append((image, *gradients))
    for expected, actual in zip(*results, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)


def test_channels_last_changes_the_layout_and_no_value() -> None:
    vae = build_vae((1, 28, 28), 2, seed=0)
    before = {name: value.clone() for name, value in vae.state_dict().items()}
    channels_last(vae)
    kernel = vae.state_dict()["encoder.body.2.weight"]
    assert kernel.is_contiguous(memory_format=torch.channels_last)
    assert all(torch.equal(value, before[name]) for name, value in vae.state_dict().items())
