"""The int8 variant of a whole bundle."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.export.toys import dense_encoder
from torch import nn

from vae_export import export_bundle
from vae_export.int8.variant import spread_out, write_int8_variant
from vae_runtime.arrays import UInt8
from vae_runtime.errors import VAEError


def test_a_decoder_without_int8_layers_stays_the_faster_of_the_fp32_ones(tmp_path: Path) -> None:
    torch.manual_seed(0)
    decoder = nn.Sequential(
        nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 64), nn.Unflatten(1, (1, 8, 8)), nn.Sigmoid()
    )
    images = np.random.default_rng(0).random((32, 1, 8, 8), np.float32)
    bundle = export_bundle(
        dense_encoder((1, 8, 8), 2, 32, nn.ReLU()),
        decoder,
        image_shape=(1, 8, 8),
        latent_dim=2,
        output=tmp_path / "b.vae",
        images=images,
    )
    portable = bundle.variants[0]
    faster = replace(portable, decoder=replace(portable.decoder, file="decoder.cpu.onnx"))
    int8 = write_int8_variant(portable, faster, tmp_path / "b.vae", images, bundle.likelihood)
    assert (int8.encoder.file, int8.decoder.file) == ("encoder.int8.onnx", "decoder.cpu.onnx")


def test_int8_without_a_wide_layer_says_so(tmp_path: Path, digits: UInt8) -> None:
    decoder = nn.Sequential(nn.Linear(2, 784), nn.Sigmoid(), nn.Unflatten(1, (1, 28, 28)))
    with pytest.raises(
        VAEError, match="int8: no layer of these networks can be quantized: none is wide"
    ):
        export_bundle(
            dense_encoder((1, 28, 28), 2, 8, nn.ReLU()),
            decoder,
            image_shape=(1, 28, 28),
            latent_dim=2,
            output=tmp_path / "x.vae",
            images=digits,
            precisions=["int8"],
        )
    assert not list(tmp_path.iterdir())


def test_calibration_images_come_from_all_over() -> None:
    assert spread_out(5, 3).tolist() == [0, 2, 4]
    assert spread_out(2, 512).tolist() == [0, 1]
    assert spread_out(0, 512).tolist() == []
