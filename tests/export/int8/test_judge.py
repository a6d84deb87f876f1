"""What an int8 graph costs is the change of the ELBO that the runtime would measure."""

from pathlib import Path

import numpy as np
import pytest

import vae_runtime
from vae_export.int8.judge import Judge
from vae_runtime.arrays import UInt8


def test_the_reference_is_the_elbo_that_the_runtime_measures(exported: Path, digits: UInt8) -> None:
    images = digits.astype(np.float32) / np.float32(255)
    with vae_runtime.load(exported, provider="cpu") as vae:
        elbo = float(np.mean([vae.score(images, seed=seed).mean() for seed in range(4)]))
        likelihood = vae.bundle.likelihood
    encoder = (exported / "encoder.onnx").read_bytes()
    decoder = (exported / "decoder.onnx").read_bytes()
    judge = Judge(encoder, decoder, images, likelihood)
    # Other draws of z: a few tenths of a nat in hundreds.
    assert judge.reference == pytest.approx(elbo, abs=1.0)
    assert judge.encoder_cost(encoder) == 0
    assert judge.decoder_cost(decoder) == 0
