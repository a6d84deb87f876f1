"""Draws of a label lie where its images lie."""

from dataclasses import replace

import numpy as np
import pytest

import vae_runtime
from vae_runtime.latent.gaussian import log_mixture
from vae_runtime.latent.labels import draw_label, label_mean, purest_place


def test_a_label_is_drawn_near_its_own_latents(digits: vae_runtime.VAE) -> None:
    rng = np.random.default_rng(0)
    names = np.array(list(digits.labels))
    for label in digits.labels:
        z = draw_label(digits.labels, label, 50, rng, 0.1)
        log_joint = [
            np.log(known.count) + log_mixture(known.components, z)
            for known in digits.labels.values()
        ]
        most_likely = names[np.argmax(log_joint, 0)]
        assert np.mean(most_likely == label) > 0.8


def test_low_temperatures_are_less_varied(digits: vae_runtime.VAE) -> None:
    def spread(temperature: float) -> float:
        z = draw_label(digits.labels, "3", 200, np.random.default_rng(0), temperature)
        return float(z.std(0).sum())

    assert spread(0.01) < spread(10.0)


def test_many_draws_begin_with_the_few_of_the_same_seed(digits: vae_runtime.VAE) -> None:
    # 600 are weighed in three parts.
    many = draw_label(digits.labels, "3", 600, np.random.default_rng(4), 0.1)
    few = draw_label(digits.labels, "3", 5, np.random.default_rng(4), 0.1)
    np.testing.assert_array_equal(few, many[:5])
    assert len(np.unique(many, axis=0)) == 600


def test_the_mean_of_all_weighs_labels_by_their_images(digits: vae_runtime.VAE) -> None:
    counts = [label.count for label in digits.labels.values()]
    means = [label.mean for label in digits.labels.values()]
    expected = np.array(counts) @ np.array(means) / sum(counts)
    np.testing.assert_allclose(label_mean(digits.labels), expected)


def test_the_purest_place_is_a_center_of_the_labels_own_mixture(digits: vae_runtime.VAE) -> None:
    for name, label in digits.labels.items():
        assert purest_place(digits.labels, name) in [c.mean for c in label.components]


def test_an_unknown_label_is_refused_with_those_that_there_are(digits: vae_runtime.VAE) -> None:
    with pytest.raises(ValueError, match="no label 'x' in this bundle; it has 0, 1"):
        label_mean(digits.labels, "x")


def test_a_label_without_images_still_has_its_place(digits: vae_runtime.VAE) -> None:
    labels = {**digits.labels, "4": replace(digits.labels["4"], count=0)}
    drawn = draw_label(labels, "4", 3, np.random.default_rng(0), 0.1)
    assert np.isfinite(drawn).all()
    assert len(purest_place(labels, "4")) == 2
