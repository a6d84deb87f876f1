"""After bias correction the int8 graph's images are as bright as those of the fp32 one."""

import numpy as np
import pytest
import torch
from tests.export.toys import traced_decoder
from torch import Tensor, nn

from vae_export import ort
from vae_export.graphs import export_graph
from vae_export.int8.bias_correction import correct_bias
from vae_export.int8.qdq import CalibratedModel
from vae_export.int8.search import layers_worth_quantizing
from vae_export.rewrites import INT8_PASSES, rewrite
from vae_runtime.arrays import Float32
from vae_train.model import build_vae

PIXELS = (0, 2, 3)


@pytest.mark.parametrize("side", [28, 26], ids=["blocks", "separated"])
def test_bias_correction_keeps_the_brightness_of_the_images(side: int, z: Float32) -> None:
    decoder = build_vae((3, side, side), 2, seed=1).decoder.eval()
    model = export_graph(decoder, (2,), "z", ["image"], {"precision": "fp32"})
    (images,) = ort.run(model.SerializeToString(), z)
    rewritten = rewrite(model, INT8_PASSES)
    assert rewritten is not None
    nodes = [name for layer in layers_worth_quantizing(rewritten) for name in layer]
    int8 = CalibratedModel(rewritten, z, nodes).quantize(nodes, 99.0)

    def difference(model_bytes: bytes) -> Float32:
        (decoded,) = ort.run(model_bytes, z)
        shift: Float32 = np.abs(decoded.mean(PIXELS) - images.mean(PIXELS))
        return shift

    assert (difference(correct_bias(int8, z, images)) < 0.2 * difference(int8)).all()


def test_bias_correction_knows_the_channels_of_torchs_pixel_shuffle(z: Float32) -> None:
    model = traced_decoder(nn.Conv2d(16, 48, 3, padding=1), nn.PixelShuffle(4), nn.Sigmoid())
    model_bytes = model.SerializeToString()
    (images,) = ort.run(model_bytes, z)
    wanted = images + np.array([0.01, -0.02, 0.03], np.float32)[:, None, None]
    (corrected,) = ort.run(correct_bias(model_bytes, z, wanted), z)
    np.testing.assert_allclose(corrected.mean(PIXELS), wanted.mean(PIXELS), atol=1e-3)


def test_of_two_convolutions_that_are_added_one_is_corrected(z: Float32) -> None:
    class TwoShuffles(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(16, 48, 3, padding=1)
            self.second = nn.Conv2d(16, 48, 3, padding=1)
            self.shuffle = nn.PixelShuffle(4)

        def forward(self, x: Tensor) -> Tensor:
            logits: Tensor = self.shuffle(self.first(x)) + self.shuffle(self.second(x))
            return logits.sigmoid()

    model_bytes = traced_decoder(TwoShuffles()).SerializeToString()
    (images,) = ort.run(model_bytes, z)
    wanted = images + np.array([0.01, -0.02, 0.03], np.float32)[:, None, None]
    (corrected,) = ort.run(correct_bias(model_bytes, z, wanted), z)
    np.testing.assert_allclose(corrected.mean(PIXELS), wanted.mean(PIXELS), atol=1e-3)


@pytest.mark.parametrize("last", [nn.Identity(), nn.Hardtanh(0, 1)], ids=["linear", "clipped"])
def test_without_a_sigmoid_no_bias_is_corrected(last: nn.Module, z: Float32) -> None:
    model_bytes = traced_decoder(nn.Conv2d(16, 1, 3, padding=1), last).SerializeToString()
    (images,) = ort.run(model_bytes, z)
    assert correct_bias(model_bytes, z, images + 0.1) == model_bytes


def test_a_bias_that_is_computed_is_left_alone(z: Float32) -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Linear(16, 1)

        def forward(self, x: Tensor) -> Tensor:
            return torch.sigmoid(self.scale(x.mean((2, 3))))[:, :, None, None].expand(-1, -1, 4, 4)

    model_bytes = traced_decoder(Scaled()).SerializeToString()
    (images,) = ort.run(model_bytes, z)
    assert correct_bias(model_bytes, z, images + 0.1) == model_bytes
