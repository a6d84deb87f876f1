import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vae_train.label_statistics import label_statistics


def test_the_covariance_includes_the_posterior_variance() -> None:
    rng = np.random.default_rng(0)
    mean = rng.normal([1, -2], [0.5, 0.1], (20_000, 2))
    found = label_statistics(
        mean, np.full((20_000, 2), np.log(0.04)), np.zeros(20_000, np.int64), ["a"]
    )["a"]
    assert found["count"] == 20_000
    np.testing.assert_allclose(found["mean"], [1, -2], atol=0.02)
    np.testing.assert_allclose(found["cov"], [[0.29, 0], [0, 0.05]], atol=0.01)


def test_the_mixture_finds_two_separate_clusters() -> None:
    rng = np.random.default_rng(0)
    mean = np.concatenate([rng.normal(c, 0.05, (500, 2)) for c in (-1.0, 1.0)])
    label = label_statistics(mean, np.full((1000, 2), -12.0), np.zeros(1000, np.int64), ["a"])["a"]
    sides = {-1: 0.0, 1: 0.0}
    for component in label["components"]:
        sides[int(np.sign(component["mean"][0]))] += component["weight"]
        assert abs(abs(component["mean"][0]) - 1) < 0.2
    np.testing.assert_allclose(list(sides.values()), 0.5, atol=0.02)


@given(st.integers(1, 60), st.integers(1, 4), st.integers(0, 1000))
def test_any_number_of_images_gives_valid_gaussians(n: int, dim: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n)
    found = label_statistics(
        rng.normal(size=(n, dim)), rng.normal(size=(n, dim)), labels, ["a", "b", "c"]
    )
    assert sum(label["count"] for label in found.values()) == n
    for label in found.values():
        assert abs(sum(c["weight"] for c in label["components"]) - 1) < 1e-9
        for gaussian in [label, *label["components"]]:
            assert np.linalg.eigvalsh(gaussian["cov"]).min() > 0


def test_above_16_latents_a_label_is_a_mixture_of_diagonals_held_as_vectors() -> None:
    rng = np.random.default_rng(0)
    mean = np.concatenate([rng.normal(c, 0.05, (500, 20)) for c in (-1.0, 1.0)])
    label = label_statistics(mean, np.full((1000, 20), -12.0), np.zeros(1000, np.int64), ["a"])["a"]
    assert np.shape(label["cov"]) == (20,)
    np.testing.assert_allclose(label["cov"], 1.0025, rtol=0.01)
    assert len(label["components"]) == 8
    sides = {-1: 0.0, 1: 0.0}
    for component in label["components"]:
        assert np.shape(component["cov"]) == (20,)
        assert np.max(component["cov"]) < 0.01
        sides[int(np.sign(component["mean"][0]))] += component["weight"]
    np.testing.assert_allclose(list(sides.values()), 0.5, atol=0.02)


def test_a_label_of_many_latents_stays_small() -> None:
    rng = np.random.default_rng(0)
    label = label_statistics(
        rng.normal(size=(900, 1024)), np.zeros((900, 1024)), np.zeros(900, np.int64), ["a"]
    )["a"]
    assert len(label["components"]) == 2
    assert len(json.dumps(label)) < 70_000
