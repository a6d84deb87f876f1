"""The int8 variant of a whole bundle."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.export.toys import dense_encoder, dense_vae
from torch import nn

from vae_export import export_bundle
from vae_export.int8 import Int8UnavailableError
from vae_export.int8.attempts import add_int8
from vae_export.int8.target import ANY_CPU, Compare
from vae_export.int8.variant import (
    Attempt,
    calibration_count,
    spread_out,
    write_int8_variant,
)
from vae_export.int8.worth import Gains
from vae_runtime.arrays import UInt8, check_images
from vae_runtime.bundle import Bundle, Variant
from vae_runtime.engine.conditions import INTEGER_DOT_PRODUCTS
from vae_runtime.errors import VAEError

FASTER: Gains = {INTEGER_DOT_PRODUCTS: 2.0}
ALWAYS_FASTER = replace(ANY_CPU, compare=lambda *_: FASTER)


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
    (tmp_path / "b.vae" / "decoder.cpu.onnx").write_bytes(b"")
    int8 = write_int8_variant(
        portable,
        faster,
        tmp_path / "b.vae",
        images,
        bundle.likelihood,
        Attempt(0.24),
        target=ALWAYS_FASTER,
    )
    assert (int8.encoder.file, int8.decoder.file) == ("encoder.int8.onnx", "decoder.cpu.onnx")


def narrow(tmp_path: Path, images: UInt8, *, strict: bool, lines: list[str]) -> Bundle:
    return export_bundle(
        dense_encoder((1, 28, 28), 2, 8, nn.ReLU()),
        nn.Sequential(nn.Linear(2, 784), nn.Sigmoid(), nn.Unflatten(1, (1, 28, 28))),
        image_shape=(1, 28, 28),
        output=tmp_path / "x.vae",
        images=images,
        precisions=["int8"],
        strict=strict,
        on_finding=lines.append,
    )


def test_without_a_wide_layer_the_fp32_bundle_is_written_with_a_line(
    tmp_path: Path, digits: UInt8
) -> None:
    lines: list[str] = []
    reason = "int8: no layer of these networks can be quantized: none is wide"
    with pytest.raises(VAEError, match=reason):
        narrow(tmp_path, digits, strict=True, lines=lines)
    assert not list(tmp_path.iterdir())
    bundle = narrow(tmp_path, digits, strict=False, lines=lines)
    assert bundle.precisions == ("fp32",)
    assert reason in lines[-1]


@pytest.fixture
def dense_bundle(tmp_path: Path, digits: UInt8) -> Bundle:
    encoder, decoder = dense_vae((1, 28, 28), 16, width=80)
    return export_bundle(
        encoder, decoder, image_shape=(1, 28, 28), output=tmp_path / "b.vae", images=digits
    )


def test_a_part_that_is_slower_in_int8_stays_in_fp32(
    dense_bundle: Bundle, tmp_path: Path, digits: UInt8
) -> None:
    portable = dense_bundle.variants[0]
    images = check_images(digits, (1, 28, 28))

    def write(compare: Compare) -> Variant:
        return write_int8_variant(
            portable,
            portable,
            tmp_path / "b.vae",
            images,
            dense_bundle.likelihood,
            Attempt(50),
            replace(ANY_CPU, compare=compare),
        )

    only_encoder = write(lambda int8, _: FASTER if b"z_log_var" in int8 else {})
    assert only_encoder.encoder.file == "encoder.int8.onnx"
    assert only_encoder.decoder.file == "decoder.onnx"
    assert only_encoder.gains == {"integer_dot_products": 2.0}
    with pytest.raises(Int8UnavailableError, match="neither encoder nor decoder gets faster"):
        write(lambda *_: {})


def test_what_loses_too_much_on_held_out_images_is_tried_again_more_carefully(
    dense_bundle: Bundle, tmp_path: Path, digits: UInt8
) -> None:
    images = check_images(digits, (1, 28, 28))
    losses = iter([60.0, 20.0])
    tried = []

    def measure(bundle: Bundle) -> Bundle:
        tried.append(bundle.variants[-1])
        int8 = replace(bundle.variants[-1], elbo_change=-next(losses, 60.0))
        return replace(bundle, variants=(*bundle.variants[:-1], int8))

    folder = tmp_path / "b.vae"
    add = partial(add_int8, dense_bundle, folder, images, 50, measure, target=ALWAYS_FASTER)
    bundle = add()
    assert bundle.variants[-1].elbo_change == -20
    assert bundle.variants[-1].elbo_budget == 50
    assert len(tried) == 2
    # Other images calibrated.
    assert tried[0].decoder.sha256 != tried[1].decoder.sha256
    with pytest.raises(Int8UnavailableError, match="loses 60.00 nats .* more than the 50 allowed"):
        add()


def test_of_larger_images_fewer_calibrate() -> None:
    counts = [calibration_count((1, 28, 28)), calibration_count((3, 32, 32))]
    assert [*counts, calibration_count((3, 256, 256))] == [512, 170, 64]


def test_calibration_images_come_from_all_over() -> None:
    assert spread_out(5, 3).tolist() == [0, 2, 4]
    assert spread_out(2, 512).tolist() == [0, 1]
    assert spread_out(0, 512).tolist() == []
