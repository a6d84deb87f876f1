"""The API, on real images, with real sessions."""

import copy
import math
import multiprocessing
import os
import pickle
import shutil
import weakref
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from operator import methodcaller
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vae_runtime
from vae_runtime.latent.gaussian import log_mixture
from vae_runtime.latent.places import PathMode

Digits = vae_runtime.VAE


def test_shapes_and_dtypes_are_the_contracts(digits: Digits, test_images: np.ndarray) -> None:
    z_mean, z_log_var = digits.encode(test_images[:5])
    assert z_mean.shape == z_log_var.shape == (5, 2)
    images = digits.decode(z_mean)
    assert images.shape == (5, 1, 28, 28)
    assert {z_mean.dtype, z_log_var.dtype, images.dtype} == {np.dtype(np.float32)}
    assert 0 <= images.min() <= images.max() <= 1
    assert digits.grid(4).shape == (4, 4, 1, 28, 28)
    assert digits.score(test_images[:3]).shape == (3,)


def test_nothing_in_gives_nothing_out(digits: Digits) -> None:
    nothing = np.empty((0, 28, 28), np.float32)
    assert digits.decode(np.empty((0, 2))).shape == (0, 1, 28, 28)
    assert digits.encode(nothing)[0].shape == (0, 2)
    assert digits.reconstruct(nothing).shape == digits.sample(0).shape == (0, 1, 28, 28)
    assert digits.score(nothing).shape == (0,)
    assert list(digits.stream(0)) == []
    assert digits.sample_label("4", 0).shape == (0, 1, 28, 28)


def test_reconstructions_look_like_their_images(digits: Digits, test_images: np.ndarray) -> None:
    images = test_images.astype(np.float32)[:, None] / 255
    distance = ((digits.reconstruct(images)[:, None] - images[None]) ** 2).sum((2, 3, 4))
    assert np.mean(distance.argmin(1) == np.arange(len(images))) > 0.25
    assert np.diag(distance).mean() < 0.7 * distance.mean()


def test_the_grid_has_the_books_coordinates(digits: Digits) -> None:
    axis = [NormalDist().inv_cdf(p) for p in np.linspace(0.05, 0.95, 15)]
    grid = digits.grid()
    for i, j in ((0, 0), (3, 11), (14, 2)):
        np.testing.assert_array_equal(grid[i, j], digits.decode([axis[j], axis[i]])[0])


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 90), st.integers(1, 5), st.integers(0, 99))
def test_bytes_depend_neither_on_threads_nor_on_how_a_batch_is_split(
    n: int, threads: int, seed: int
) -> None:
    z = np.random.default_rng(seed).standard_normal((n, 2))
    with (
        vae_runtime.load(provider="cpu", threads=threads) as vae,
        vae_runtime.load(provider="cpu", threads=1) as one,
    ):
        expected = one.decode(z)
        assert vae.decode(z).tobytes() == expected.tobytes()
        cut = n // 3
        assert (
            np.concatenate([vae.decode(z[:cut]), vae.decode(z[cut:])]).tobytes()
            == expected.tobytes()
        )
        single = np.concatenate([one.decode(row[None]) for row in z])
        assert single.tobytes() == expected.tobytes()


def test_a_stream_gives_the_bytes_of_a_sample(digits: Digits) -> None:
    chunks = list(digits.stream(2500, seed=3))
    assert len(chunks) > 1
    assert np.concatenate(chunks).tobytes() == digits.sample(2500, seed=3).tobytes()


def test_sixteen_threads_sharing_an_instance_agree_with_one(
    digits: Digits, test_images: np.ndarray
) -> None:
    expected = digits.reconstruct(test_images[:40]).tobytes()
    with ThreadPoolExecutor(16) as pool:
        results = list(
            pool.map(lambda _: digits.reconstruct(test_images[:40]).tobytes(), range(64))
        )
    assert set(results) == {expected}


def test_pickled_and_copied_instances_give_the_same_bytes(digits: Digits) -> None:
    expected = digits.sample(20, seed=0).tobytes()
    for other in (pickle.loads(pickle.dumps(digits)), copy.copy(digits), copy.deepcopy(digits)):
        assert other.sample(20, seed=0).tobytes() == expected


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_child_processes_give_the_same_bytes(digits: Digits, start: str) -> None:
    expected = digits.sample(40, seed=0).tobytes()  # the session exists before the fork
    # The function must come from an importable module, which a test isn't: a spawned child would
    # look for it in vain.
    sample = methodcaller("sample", 40, seed=0)
    with ProcessPoolExecutor(2, multiprocessing.get_context(start)) as pool:
        assert [images.tobytes() for images in pool.map(sample, [digits] * 4, timeout=60)] == [
            expected
        ] * 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_that_inherits_the_instance_does_not_hang(digits: Digits) -> None:
    expected = digits.sample(40, seed=0).tobytes()
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(
        target=lambda: queue.put(digits.sample(40, seed=0).tobytes() == expected)
    )
    child.start()
    assert queue.get(timeout=60)
    child.join(60)


def test_a_closed_instance_opens_again(digits: Digits) -> None:
    with vae_runtime.load(provider="cpu") as vae:
        before = vae.sample(3, seed=0)
    assert vae.sample(3, seed=0).tobytes() == before.tobytes()
    vae.close()
    vae.close()


@pytest.mark.parametrize(
    "z", [[[1.0]], [[1.0, np.nan]], [[1.0, np.inf]], np.zeros((2, 3)), np.zeros((1, 1, 2))]
)
def test_wrong_latents_are_value_errors(digits: Digits, z: object) -> None:
    with pytest.raises(ValueError, match="latents"):
        digits.decode(z)  # type: ignore[arg-type]


def test_what_takes_one_latent_refuses_several(digits: Digits) -> None:
    several = np.zeros((3, 2))
    with pytest.raises(ValueError, match="one latent"):
        digits.interpolate(several, several[0], 4)
    with pytest.raises(ValueError, match="one latent"):
        digits.grid(2, anchor=several)


def test_quantiles_and_limits_exclude_each_other(digits: Digits) -> None:
    with pytest.raises(ValueError, match="exclude each other"):
        digits.grid(3, quantiles=(0.1, 0.9), limits=(-1, 1))


def test_a_grid_of_one_is_its_middle(digits: Digits) -> None:
    np.testing.assert_array_equal(digits.grid(1)[0], digits.decode(np.zeros((1, 2))))


def test_a_relative_path_survives_a_change_of_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(vae_runtime.load(provider="cpu").path, tmp_path / "own.vae")
    monkeypatch.chdir(tmp_path)
    vae = vae_runtime.load("own.vae", provider="cpu")
    monkeypatch.chdir("/")
    assert len(vae.sample(1)) == len(pickle.loads(pickle.dumps(vae)).sample(1)) == 1


@pytest.mark.parametrize("path", ["", "absent.vae"])
def test_a_path_that_is_no_bundle_is_never_the_embedded_model(path: str) -> None:
    with pytest.raises(vae_runtime.BundleError):
        vae_runtime.load(path)


@pytest.mark.parametrize("threads", [0, -1, 1.5, True])
def test_threads_are_a_whole_number(threads: object) -> None:
    with pytest.raises(ValueError, match="whole number"):
        vae_runtime.load(threads=threads)  # type: ignore[arg-type]


@pytest.mark.parametrize("n", [-1, 1.5, True, math.inf, "two", None])
def test_wrong_counts_are_value_errors(digits: Digits, n: int) -> None:
    with pytest.raises(ValueError, match="whole number"):
        digits.sample(n)


def test_the_score_prefers_digits_to_noise(digits: Digits, test_images: np.ndarray) -> None:
    noise = np.random.default_rng(0).random((50, 28, 28), np.float32)
    assert digits.score(test_images[:50]).min() > digits.score(noise).max()


def test_the_score_is_the_elbo_of_the_formula(tiny: Digits, test_images: np.ndarray) -> None:
    image = test_images[:4].astype(np.float64)[:, None] / 255
    z_mean, z_log_var = (v.astype(np.float64) for v in tiny.encode(test_images[:4]))
    epsilon = np.random.default_rng(0).standard_normal((4, 1, 2))[:, 0]
    p = tiny.decode(z_mean + np.exp(0.5 * z_log_var) * epsilon).astype(np.float64)
    reconstruction = (image * np.log(p) + (1 - image) * np.log(1 - p)).sum((1, 2, 3))
    kl = 0.5 * (z_mean**2 + np.exp(z_log_var) - z_log_var - 1).sum(1)
    scores = tiny.score(test_images[:4], seed=np.random.default_rng(0))
    np.testing.assert_allclose(scores, reconstruction - kl, rtol=1e-5)


def test_more_samples_tighten_the_bound(digits: Digits, test_images: np.ndarray) -> None:
    bounds = [digits.score(test_images[:40], samples=k).mean() for k in (2, 16, 128)]
    assert bounds == sorted(bounds)
    elbo = np.mean([digits.score(test_images[:40], seed=s).mean() for s in range(10)])
    assert elbo < bounds[-1] < elbo + 10


def test_the_gaussian_score_is_a_log_density(color: Digits) -> None:
    images = np.random.default_rng(1).random((3, 3, 16, 16), np.float32)
    z_mean, z_log_var = (v.astype(np.float64) for v in color.encode(images))
    epsilon = np.random.default_rng(0).standard_normal((3, 1, 3))[:, 0]
    mean = color.decode(z_mean + np.exp(0.5 * z_log_var) * epsilon)
    variance = np.exp(np.array(color.bundle.likelihood.log_var)).reshape(3, 1, 1)
    density = -0.5 * ((images - mean) ** 2 / variance + np.log(2 * np.pi * variance)).sum((1, 2, 3))
    kl = 0.5 * (z_mean**2 + np.exp(z_log_var) - z_log_var - 1).sum(1)
    scores = color.score(images, seed=np.random.default_rng(0))
    np.testing.assert_allclose(scores, density - kl, rtol=1e-5)


@pytest.mark.parametrize("mode", ["linear", "spherical"])
def test_a_path_includes_both_ends(digits: Digits, mode: PathMode) -> None:
    ends = np.array([[1.0, 0.2], [-0.5, 1.5]])
    images = digits.interpolate(ends[0], ends[1], 7, mode=mode)
    np.testing.assert_allclose(images[[0, -1]], digits.decode(ends), atol=1e-6)
    assert len(images) == 7


def test_editing_moves_along_the_difference_of_label_means(
    digits: Digits, test_images: np.ndarray
) -> None:
    means = {k: np.array(v.mean) for k, v in digits.labels.items()}
    expected = digits.decode(digits.encode(test_images[:3])[0] + 0.8 * (means["4"] - means["9"]))
    np.testing.assert_array_equal(
        digits.edit(test_images[:3], add="4", remove="9", strength=0.8), expected
    )
    with pytest.raises(ValueError, match="no label 'x'"):
        digits.edit(test_images[:1], add="x")


def test_what_needs_labels_says_so_without_them(color: Digits) -> None:
    with pytest.raises(ValueError, match="without labels"):
        color.edit(np.zeros((1, 3, 16, 16), np.float32), add="4")
    with pytest.raises(ValueError, match="it has none"):
        color.sample_label("4", 1)


def test_a_grid_walks_any_two_axes_around_an_anchor(color: Digits) -> None:
    grid = color.grid(3, axes=(2, 0), limits=(-1, 1), anchor=[9, 5, 9])
    np.testing.assert_array_equal(grid[0, 2], color.decode([-1, 5, 1])[0])
    with pytest.raises(ValueError, match="axes"):
        color.grid(3, axes=(0, 3))
    with pytest.raises(ValueError, match="quantiles"):
        color.grid(3, quantiles=(0, 1))


@pytest.mark.slow
def test_memory_stops_growing(digits: Digits) -> None:
    """onnxruntime's arena keeps every high-water mark; chunks keep that mark low."""
    resident = Path("/proc/self/statm")
    if not resident.exists():
        pytest.skip("needs /proc")

    def megabytes() -> float:
        return int(resident.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

    rng = np.random.default_rng(0)
    with vae_runtime.load(provider="cpu", threads=2) as vae:
        z = rng.standard_normal((1000, 2))
        for size in rng.integers(1, 1000, 15):
            vae.decode(z[:size])
        before = megabytes()
        for size in rng.integers(1, 1000, 30):
            vae.decode(z[:size])
        assert megabytes() < before + 10


@pytest.mark.parametrize("samples", [1, 3])
def test_an_image_has_the_same_score_in_any_company(
    digits: Digits, test_images: np.ndarray, samples: int
) -> None:
    together = digits.score(test_images[:50], samples=samples, seed=4)
    backwards = digits.score(test_images[:50][::-1], samples=samples, seed=4)
    parts = [digits.score(test_images[:7], samples=samples, seed=4)]
    for image in test_images[7:50]:
        parts.append(digits.score(image, samples=samples, seed=4))
    assert backwards[::-1].tobytes() == together.tobytes()
    assert np.concatenate(parts).tobytes() == together.tobytes()


def test_the_seed_and_the_image_decide_the_draws(digits: Digits, test_images: np.ndarray) -> None:
    image = test_images[:1]
    scores = {float(digits.score(image, seed=seed)[0]) for seed in range(20)}
    assert len(scores) == 20


def test_scores_by_one_generator_go_on_where_it_stands(
    digits: Digits, test_images: np.ndarray
) -> None:
    whole = digits.score(test_images[:50], samples=3, seed=np.random.default_rng(4))
    rng = np.random.default_rng(4)
    parts = [
        digits.score(part, samples=3, seed=rng) for part in (test_images[:7], test_images[7:50])
    ]
    assert np.concatenate(parts).tobytes() == whole.tobytes()


def test_draws_from_the_data_lie_where_images_do(digits: Digits) -> None:
    density = digits.bundle.density
    z, _ = digits.encode(digits.sample(500, seed=0, source="data"), inference="refined")
    from_prior = np.random.default_rng(0).standard_normal((500, 2))
    assert log_mixture(density, z.astype(float)).mean() > log_mixture(density, from_prior).mean()
    first = digits.sample(3, seed=1, source="data", temperature=0.5)
    np.testing.assert_array_equal(first, digits.sample(3, seed=1, source="data", temperature=0.5))


def test_draws_that_cannot_be_are_refused(tiny: vae_runtime.VAE, digits: Digits) -> None:
    with pytest.raises(ValueError, match="this bundle has no density of its data"):
        tiny.sample(1, source="data")
    with pytest.raises(ValueError, match="source 'labels' is not one of prior, data"):
        digits.sample(1, source="labels")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="the temperature must be positive, not 0"):
        digits.sample(1, temperature=0)


def test_an_instance_that_nobody_closes_is_freed_at_once() -> None:
    vae = vae_runtime.load()
    watched = weakref.ref(vae)
    vae.encode(vae.sample(1, seed=0), inference="refined")
    del vae
    assert watched() is None
