"""Convolutions as sixteen products of tiles compute the same, where they are taken."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from onnx import helper
from tests.export.rewrites.layers import (
    QUICK,
    UpsamplingLayer,
    assert_same,
    make_model,
    operators,
    random_weights,
)

from vae_export import ort
from vae_export.rewrites import rewrite, winograd
from vae_export.rewrites.winograd import (
    OUTPUTS,
    TAPS,
    TILE,
    VALUES,
    filter_convolution,
    filter_upsampling,
)


@pytest.fixture(autouse=True, scope="module")
def _few_channels() -> Iterator[None]:
    """What holds for hundreds of channels is tested with a handful."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(winograd, "MIN_CHANNELS", 1)
        yield


@pytest.mark.parametrize("taps", [2, 3])
def test_the_three_matrices_are_a_convolution_of_four_values(taps: int) -> None:
    # Of output y, tap k and value i: 1 where the window at y reads value i by tap k, else 0.
    found = np.einsum("yp,pk,pi->yki", OUTPUTS[taps], TAPS[taps], VALUES)
    for y, k, i in product(range(TILE + 1 - taps), range(taps), range(TILE)):
        assert found[y, k, i] == (i == y + k)


@QUICK
@given(
    channels=st.integers(1, 6),
    out=st.integers(1, 6),
    sides=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    pads=st.lists(st.integers(0, 2), min_size=4, max_size=4),
    activation=st.sampled_from(["Relu", "Sigmoid", None]),
    with_bias=st.booleans(),
    seed=st.integers(0, 99),
)
def test_convolutions_become_products_of_tiles(
    channels: int,
    out: int,
    sides: tuple[int, int],
    pads: list[int],
    activation: str | None,
    with_bias: bool,
    seed: int,
) -> None:
    top, left, bottom, right = pads
    assume(sides[0] + top + bottom >= 3 and sides[1] + left + right >= 3)
    weights = random_weights(seed, w=(out, channels, 3, 3), b=(out,))
    inputs = ["x", "w", "b"] if with_bias else ["x", "w"]
    conv = helper.make_node("Conv", inputs, ["u"], pads=pads, kernel_shape=[3, 3])
    behind = helper.make_node(activation or "Neg", ["u"], ["y"])
    shape = (channels, *sides)
    before = make_model([conv, behind], weights, shape)
    after = rewrite(before, [filter_convolution])
    assert after is not None
    assert "Conv" not in operators(after)
    assert_same(before, after, shape)


@QUICK
@given(
    channels=st.integers(1, 5),
    out=st.integers(1, 5),
    sides=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    pads=st.lists(st.integers(0, 3), min_size=4, max_size=4),
    output_padding=st.lists(st.integers(0, 1), min_size=2, max_size=2),
    seed=st.integers(0, 99),
)
def test_transposed_convolutions_become_products_of_tiles(
    channels: int,
    out: int,
    sides: tuple[int, int],
    pads: list[int],
    output_padding: list[int],
    seed: int,
) -> None:
    top, left, bottom, right = pads
    assume(2 * sides[0] + 2 + output_padding[0] > top + bottom)
    assume(2 * sides[1] + 2 + output_padding[1] > left + right)
    weights = random_weights(seed, w=(channels, out, 4, 4), b=(out,))
    layer = UpsamplingLayer([4, 4], pads, output_padding)
    shape = (channels, *sides)
    nodes = [layer.node("u"), helper.make_node("Relu", ["u"], ["y"])]
    before = make_model(nodes, weights, shape)
    after = rewrite(before, [filter_upsampling])
    assert after is not None
    assert "ConvTranspose" not in operators(after)
    assert_same(before, after, shape)


@pytest.mark.parametrize(
    "settings",
    [
        {"strides": [2, 2]},
        {"dilations": [2, 2]},
        {"group": 2},
        {"auto_pad": "SAME_UPPER"},
    ],
)
def test_other_convolutions_stay(settings: dict[str, Any]) -> None:
    inside = 2 if "group" in settings else 4
    weights = random_weights(0, w=(4, inside, 3, 3))
    conv = helper.make_node("Conv", ["x", "w"], ["y"], kernel_shape=[3, 3], **settings)
    assert rewrite(make_model([conv], weights, (4, 8, 8)), [filter_convolution]) is None


def test_many_channels_lose_no_precision_to_speak_of() -> None:
    weights = random_weights(0, w=(64, 512, 3, 3))
    conv = helper.make_node("Conv", ["x", "w"], ["y"], kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    after = rewrite(make_model([conv], weights, (512, 8, 8)), [filter_convolution])
    assert after is not None
    x = np.random.default_rng(0).standard_normal((2, 512, 8, 8))
    exact = torch.conv2d(torch.tensor(x), torch.tensor(weights["w"]).double(), padding=1).numpy()
    (found,) = ort.run(after.SerializeToString(), x.astype(np.float32))
    assert np.abs(found - exact).max() < 2e-6 * np.abs(exact).max()
