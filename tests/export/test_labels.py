"""Where each label's images lie in latent space, as the bundle has it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from tests.export.toys import dense_vae

from vae_export import export_bundle
from vae_export.labels import measure_latents
from vae_runtime.arrays import UInt8
from vae_runtime.bundle.manifest import from_json, to_json

TINY = Path(__file__).parents[1] / "runtime" / "data" / "tiny.vae" / "bundle.json"


def test_labels_give_concepts(tmp_path: Path, digits: UInt8, digit_labels: UInt8) -> None:
    encoder, decoder = dense_vae((1, 28, 28), 2)
    bundle = export_bundle(
        encoder,
        decoder,
        image_shape=(1, 28, 28),
        latent_dim=2,
        output=tmp_path / "x.vae",
        images=digits,
        labels=digit_labels.tolist(),
    )
    assert set(bundle.labels) == {str(label) for label in np.unique(digit_labels)}
    assert sum(label.count for label in bundle.labels.values()) == len(digits)
    fours = torch.from_numpy(digits[digit_labels == 4]).float() / 255
    with torch.no_grad():
        z_mean, _ = encoder.eval()(fours)
    np.testing.assert_allclose(bundle.labels["4"].mean, z_mean.mean(0).numpy(), atol=1e-5)


def test_labels_of_a_thousand_latents_are_kilobytes() -> None:
    encoder, _ = dense_vae((1, 8, 8), 1024)
    images = np.random.default_rng(0).random((300, 1, 8, 8), np.float32)
    places = measure_latents(encoder.eval(), images, [i % 3 for i in range(300)])
    bundle = replace(
        from_json(TINY.read_text()),
        latent_dim=1024,
        latent_shape=(4, 16, 16),
        labels=places.labels,
        density=places.density,
    )
    # Full matrices, once for each label and once for its component, took 31.7 MB.
    assert len(to_json(bundle)) < 400_000
