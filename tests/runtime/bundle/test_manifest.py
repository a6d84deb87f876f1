"""Every wrong field of bundle.json is one error that names it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from vae_runtime import BundleError
from vae_runtime.bundle import (
    Bundle,
    Component,
    GraphFile,
    Label,
    Variant,
    from_json,
    read_bundle,
    to_json,
)


def change(bundle: Path, edit: Callable[[dict[str, Any]], Any]) -> None:
    manifest = bundle / "bundle.json"
    values = json.loads(manifest.read_text())
    edit(values)
    manifest.write_text(json.dumps(values))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda v: v.update(schema=3), "schema 3 is not supported"),
        (lambda v: v.pop("schema"), "'schema'"),
        (lambda v: v.update(latent_dim="2"), "'latent_dim'"),
        (lambda v: v.update(latent_dim=0), "latent_dim positive"),
        (lambda v: v.update(image_shape=[28, 28]), "image_shape"),
        (lambda v: v.update(latent_shape=[2, 2, 2]), "'latent_shape'"),
        (lambda v: v.update(dynamic_size=1), "'dynamic_size'"),
        (lambda v: v.update(dynamic_size=True), "'dynamic_size' needs a 'latent_shape'"),
        (lambda v: v.update(variants=[]), "'variants' is empty"),
        (lambda v: v["variants"][0]["decoder"].update(file="../decoder.onnx"), "not a plain name"),
        (lambda v: v["variants"][0]["decoder"].update(file="/etc/passwd"), "not a plain name"),
        (lambda v: v["preprocess"].update(fit="squeeze"), "squeeze"),
        (lambda v: v["likelihood"].update(name="poisson"), "poisson"),
        (lambda v: v["labels"]["0"].update(mean=[0.0]), "2 numbers"),
        (lambda v: v["labels"]["0"].update(cov=[1.0, 0.0]), "isn't positive"),
        (lambda v: v["labels"]["0"].update(cov=[1.0, 1.0]), "mixes full and diagonal"),
        (lambda v: v["variants"][0].update(gains={"a": "b"}), "'variants\\[0\\].gains"),
        (lambda v: v["variants"][0].update(gains={"a": -3.5}), "'variants\\[0\\].gains.a' is -3.5"),
        (lambda v: v["variants"][0].update(batch=2), "requires' is not by_name alone"),
        (lambda v: v["variants"][0].update(batch=0), "'variants\\[0\\].batch' is 0"),
        (lambda v: v["variants"][0].update(batch="2"), "'variants\\[0\\].batch'"),
        (lambda v: v["variants"][0].update(batch=2000), "'variants\\[0\\].batch' is 2000"),
        (lambda v: v["variants"][0].update(requires=[1]), "'variants\\[0\\].requires'"),
    ],
)
def test_a_wrong_manifest_names_the_field(
    bundle: Path, edit: Callable[[dict[str, Any]], Any], reason: str
) -> None:
    change(bundle, edit)
    with pytest.raises(BundleError, match=f"bundle.json: .*{reason}"):
        read_bundle(bundle)


def test_unknown_keys_are_ignored(bundle: Path) -> None:
    change(bundle, lambda v: v.update(future={"a": 1}))
    assert read_bundle(bundle).latent_dim == 2


def test_writing_and_reading_a_manifest_is_the_identity(bundle: Path) -> None:
    first = read_bundle(bundle)
    (bundle / "bundle.json").write_text(to_json(first))
    assert read_bundle(bundle) == first


def test_a_labels_own_gaussian_is_not_written_twice() -> None:
    graph = GraphFile("a.onnx", "0" * 64, 0)
    one = Component(1.0, (0.5,) * 20, (2.0,) * 20)
    label = Label(7, one.mean, one.cov, (one,))
    variant = Variant("fp32", "fp32", ("*",), graph, graph)
    bundle = Bundle(20, (1, 8, 8), (variant,), labels={"a": label})
    values = json.loads(to_json(bundle))
    assert values["schema"] == 2
    assert "components" not in values["labels"]["a"]
    assert from_json(to_json(bundle)) == bundle
