"""Every argument that is wrong is named; found by tests/fuzz, or before."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vae_runtime
from vae_runtime import VAE, BundleError

HUGE = 10**400


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda vae: vae.grid(2, axes=(0,)), "axes must be two numbers"),
        (lambda vae: vae.grid(2, axes={0: 1, 1: 2}), "axes must be two numbers"),
        (lambda vae: vae.grid(2, axes=("a", 1)), "axes must be a whole number"),
        (lambda vae: vae.grid(2, axes=np.array(3)), "axes must be two numbers"),
        (lambda vae: vae.grid(2, axes=(0, HUGE)), "axes must be at most"),
        (lambda vae: vae.grid(2, limits=(0, HUGE)), "limits must be two finite numbers"),
        (lambda vae: vae.grid(2, quantiles=("a", 0.5)), "quantiles must be a number"),
        (lambda vae: vae.sample(HUGE), "n, a number of images"),
        (lambda vae: vae.sample(2, seed=np.matrix([[1.0]])), "seed must be a whole number"),
        (lambda vae: vae.sample(2, seed=-1), "seed must be 0 or more"),
        (lambda vae: vae.sample(np.ma.masked), "n, a number of images"),
        (lambda vae: vae.sample(2, seed=np.ma.masked), "seed must be a whole number"),
        (lambda vae: vae.interpolate("4", "9", np.ma.masked), "steps must be a whole number"),
        (lambda vae: vae.sample(2, source=np.array(["prior", "data"])), "source must be a text"),
        (lambda vae: vae.sample(2, source="posterior"), "source 'posterior' is not one of prior"),
        (lambda vae: vae.encode(np.zeros((28, 28)), inference=np.ones(2)), "inference must be a"),
        (lambda vae: vae.score(np.zeros((28, 28)), bound=np.ones(2)), "bound must be a text"),
        (lambda vae: vae.score(np.zeros((28, 28)), relative=np.ones(2)), "relative must be True"),
        (lambda vae: vae.score(np.zeros((28, 28)), samples=HUGE), "samples must be at most"),
        (lambda vae: vae.score(np.zeros((28, 28)), samples=1.5), "samples must be a whole number"),
        (lambda vae: vae.edit(np.zeros((28, 28)), add="4", strength=HUGE), "strength must be fin"),
        (lambda vae: vae.sample_label("4", 1, temperature=float("nan")), "temperature must be fin"),
        (lambda vae: vae.interpolate("4", "9", 2, mode=["linear"]), "mode must be a text"),
        (lambda vae: vae.decode(np.ma.array([[0.0, 1.0]], mask=[[False, True]])), "masked"),
        (lambda vae: vae.decode([[1.0], [1.0, 2.0]]), "latents are no array"),
        (lambda vae: vae.learn_concept(np.zeros((0, 1, 28, 28)), np.zeros((28, 28))), "at least"),
        (lambda vae: vae.read(np.zeros((28, 28)), fit=3), "fit must be a text"),
        (lambda vae: vae.read(np.zeros((28, 28)), invert="no"), "invert must be True"),
        (lambda vae: vae.show(np.full((1, 28, 28), np.nan)), "NaN"),
        (lambda vae: vae.show(np.zeros((1, 28, 28)), scale=0), "scale must be at least 1"),
        (lambda vae: vae.save(np.zeros((1, 28, 28)), 3), "path must be a path"),
    ],
)
def test_a_wrong_argument_is_named(tiny: VAE, call: Callable[[VAE], Any], reason: str) -> None:
    with pytest.raises((ValueError, TypeError), match=reason):
        call(tiny)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"threads": 1 << 31}, "threads must be"),
        ({"provider": 3}, "provider must be a text"),
        ({"precision": None}, "precision must be a text"),
        ({"provider_options": "x"}, "provider_options must be a mapping"),
        ({"path": 3}, "path must be that of a bundle"),
    ],
)
def test_a_wrong_argument_of_load_is_named(arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises((ValueError, TypeError), match=reason):
        vae_runtime.load(**arguments)


def test_arrays_of_every_layout_give_the_same_images(tiny: VAE) -> None:
    z = np.random.default_rng(0).standard_normal((5, 2)).astype(np.float32)
    expected = tiny.decode(z)
    layouts = [z.astype(">f4"), np.asfortranarray(z), z[::-1][::-1], z.tolist(), np.asmatrix(z)]
    for layout in [*layouts, np.ma.array(z), np.repeat(z, 2, 1)[:, ::2]]:
        np.testing.assert_array_equal(tiny.decode(layout), expected)


def test_whole_numbers_from_0_to_255_are_shown_as_such(tiny: VAE) -> None:
    gray = np.full((1, 28, 28), 51, np.uint8)
    assert np.asarray(tiny.show(gray, scale=1)).max() == 51


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda v: v.update(latent_dim=10**39), "'latent_dim' is a whole number of many digits"),
        (lambda v: v.update(image_shape=[1, 10**6, 10**6]), "'image_shape'"),
        (lambda v: v.update(score_quantiles={"a": 1.0}), "no share of images"),
        (lambda v: v["variants"][0].update(precision="fp8"), "neither fp32 nor int8"),
        (lambda v: v["variants"][0].update(name="\x1b[2J"), "cannot be shown"),
        (lambda v: v["variants"][0].update(elbo_change=10**400), "finite number"),
        (lambda v: v["variants"][0]["decoder"].update(file="x" * 5000), "not a plain name"),
        (lambda v: v["variants"][0]["decoder"].update(sha256="0"), "64 hexadecimal digits"),
        (lambda v: v["labels"]["0"].update(count=-1), r"labels.0.count"),
        (lambda v: v["labels"]["0"].update(cov=[[1.0, 2.0], [2.0, 1.0]]), "is no covariance"),
        (lambda v: v["labels"]["0"].update(cov=[[-1.0, 0.0], [0.0, 1.0]]), "variance"),
        (lambda v: v["labels"]["0"].update(mean=[1e20, 0.0]), r"labels.0.mean"),
        (lambda v: v["labels"]["0"]["components"][0].update(weight=7.0), "do not sum to 1"),
    ],
)
def test_a_field_of_the_manifest_that_cannot_be_is_named(
    bundle: Path, edit: Callable[[dict[str, Any]], Any], reason: str
) -> None:
    manifest = bundle / "bundle.json"
    values = json.loads(manifest.read_text())
    edit(values)
    manifest.write_text(json.dumps(values))
    with pytest.raises(BundleError, match=rf"bundle.json: .*{reason}"):
        vae_runtime.load(bundle)


def test_a_mixture_of_nothing_is_the_labels_own_gaussian(bundle: Path) -> None:
    manifest = bundle / "bundle.json"
    values = json.loads(manifest.read_text())
    values["labels"]["0"]["components"] = []
    manifest.write_text(json.dumps(values))
    vae = vae_runtime.load(bundle, provider="cpu")
    assert vae.sample_label("0", 2, seed=0).shape == (2, 1, 28, 28)


def test_a_key_that_stands_twice_is_refused(bundle: Path) -> None:
    manifest = bundle / "bundle.json"
    manifest.write_text(manifest.read_text().replace("{", '{"latent_dim": 3, ', 1))
    with pytest.raises(BundleError, match="'latent_dim' is there twice"):
        vae_runtime.load(bundle)


def test_a_number_of_cells_may_be_a_whole_number_of_any_type(tiny: VAE) -> None:
    for n in (2.0, np.float32(2), Decimal(2)):
        assert np.array_equal(tiny.grid(n), tiny.grid(2))  # type: ignore[arg-type]
