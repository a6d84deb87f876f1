"""What counts as faster is reckoned, and reckoned alike every time."""

import onnx
import pytest
import torch
from tests.export.rewrites.layers import UpsamplingLayer, make_model, random_weights
from tests.export.toys import traced_decoder
from torch import nn

from vae_export.costs import BATCHES, is_faster, mean_gain, reckoned
from vae_export.int8.worth import common_gains, int8_gains
from vae_export.rewrites import rewrite_for_cpu
from vae_export.rewrites.phases import split_phases
from vae_runtime.engine.conditions import BLOCKED_LAYOUTS, PLAIN_LAYOUTS, Condition

LAYOUTS: tuple[Condition, ...] = (BLOCKED_LAYOUTS, PLAIN_LAYOUTS)


def upsampling(channels: int, side: int) -> bytes:
    """A doubling transposed convolution between as many channels."""
    layer = UpsamplingLayer([4, 4], [1, 1, 1, 1], [0, 0])
    weights = random_weights(0, w=(channels, channels, 4, 4), b=(channels,))
    model = make_model([layer.node("y")], weights, (channels, side, side))
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("layouts", LAYOUTS)
def test_a_graph_is_not_faster_than_itself(layouts: Condition) -> None:
    model = traced_decoder(nn.Conv2d(16, 64, 3, padding=1), nn.Conv2d(64, 1, 3), nn.Sigmoid())
    model_bytes = model.SerializeToString()
    assert not is_faster(model_bytes, model_bytes, layouts)
    assert reckoned(model_bytes, layouts) == reckoned(model_bytes, layouts)


def test_phases_pay_where_layers_are_large_and_not_where_they_are_small() -> None:
    for channels, side, pays in ((256, 16, True), (8, 2, False)):
        before = upsampling(channels, side)
        after = rewrite_for_cpu(before, [split_phases])
        assert after is not None
        assert is_faster(after, before, BLOCKED_LAYOUTS) == pays


@pytest.mark.parametrize("layouts", LAYOUTS)
def test_time_grows_with_the_batch_and_never_faster_than_it(layouts: Condition) -> None:
    model_bytes = upsampling(16, 8)
    one, many = reckoned(model_bytes, layouts)
    assert one < many <= one * BATCHES[1] / BATCHES[0]


def test_a_loss_at_one_batch_is_no_gain() -> None:
    assert mean_gain([1.0, 1.0], [2.0, 2.0]) == 2
    assert mean_gain([1.0, 1.0], [4.0, 0.99]) == 0


def test_shapes_that_are_computed_cost_what_they_compute_alone() -> None:
    class Repeats(nn.Module):
        def forward(self, z: torch.Tensor) -> torch.Tensor:
            return z.reshape(z.shape[0], -1, 2)

    model = traced_decoder(Repeats(), nn.Sigmoid())
    assert all(time > 0 for time in reckoned(model.SerializeToString(), BLOCKED_LAYOUTS))


def test_int8_that_converts_more_than_it_computes_is_not_faster() -> None:
    weights = random_weights(0, w=(16, 16, 1, 1))
    conv = onnx.helper.make_node("Conv", ["x", "w"], ["y"])
    fp32 = make_model([conv], weights, (16, 4, 4)).SerializeToString()
    assert int8_gains(fp32, fp32) == {}


def test_a_variant_gains_where_both_of_its_parts_do() -> None:
    encoder = {"integer_dot_products": 2.0, "blocked_layouts": 1.4}
    decoder = {"integer_dot_products": 1.5}
    assert common_gains([encoder, decoder]) == {"integer_dot_products": 1.5}
    assert common_gains([encoder]) == encoder
    assert common_gains([]) == {}
