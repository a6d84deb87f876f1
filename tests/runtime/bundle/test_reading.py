"""A reader trusts nothing: every damage to a bundle is one BundleError that names file and
reason.
"""

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import vae_runtime
from vae_runtime import BundleError
from vae_runtime.bundle import describe_graph, read_bundle


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


@pytest.mark.parametrize("name", ["encoder.onnx", "decoder.onnx"])
def test_one_changed_byte_in_a_graph_is_refused_at_first_use(bundle: Path, name: str) -> None:
    content = bytearray((bundle / name).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / name).write_bytes(content)
    vae = vae_runtime.load(bundle, provider="cpu")
    with pytest.raises(BundleError, match=f"{name}: damaged: its SHA-256"):
        vae.verify()


def test_a_truncated_graph_is_refused_at_load(bundle: Path) -> None:
    path = bundle / "decoder.onnx"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(BundleError, match="decoder.onnx: damaged: .* bytes where"):
        vae_runtime.load(bundle, provider="cpu")


def test_a_missing_graph_is_named(bundle: Path) -> None:
    (bundle / "encoder.onnx").unlink()
    with pytest.raises(BundleError, match="encoder.onnx: missing"):
        read_bundle(bundle)


def test_a_graph_of_another_shape_is_refused_at_first_use(bundle: Path) -> None:
    change(bundle, lambda v: v.update(latent_dim=3, labels={}))
    with pytest.raises(BundleError, match="its (input|output) .* should be float32"):
        vae_runtime.load(bundle, provider="cpu").verify()


def test_what_is_no_bundle_says_so(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no such bundle"):
        vae_runtime.load(tmp_path / "absent.vae")
    with pytest.raises(BundleError, match="not a bundle: a folder with a bundle.json in it"):
        vae_runtime.load(tmp_path)


@given(
    st.sampled_from(
        ["schema", "latent_dim", "image_shape", "preprocess", "likelihood", "variants", "labels"]
    ),
    json_values,
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_value_in_any_field_is_accepted_or_a_bundle_error(
    bundle: Path, key: str, value: Any
) -> None:
    manifest = bundle / "bundle.json"
    original = manifest.read_text()
    try:
        change(bundle, lambda v: v.update({key: value}))
        read_bundle(bundle)
    except BundleError as error:
        assert "bundle.json" in str(error) or ".onnx" in str(error)  # noqa: PT017
    finally:
        manifest.write_text(original)


def test_check_compares_with_torch_and_names_what_differs(bundle: Path) -> None:
    import numpy as np

    assert max(vae_runtime.load(bundle, provider="cpu").check().values()) < 1e-5
    stored = dict(np.load(bundle / "check.npz"))
    stored["decoded"] = stored["decoded"] + 0.01
    np.savez(bundle / "check.npz", **stored)
    with pytest.raises(vae_runtime.VAEError, match="decoded differs from torch by 0.01"):
        vae_runtime.load(bundle, provider="cpu").check()
    (bundle / "check.npz").unlink()
    with pytest.raises(BundleError, match=r"check\.npz: missing from the bundle"):
        vae_runtime.load(bundle, provider="cpu").check()


@pytest.mark.parametrize("missing", [(), ("_sha2", "_sha256")])
def test_the_hash_is_sha_256_whoever_computes_it(
    missing: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in missing:
        monkeypatch.setitem(sys.modules, name, None)  # as on a Python that was built without it
    for content in (b"", b"abc", bytes(range(256)) * 5000):
        assert describe_graph("encoder.onnx", content).sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("name", ["images", "latents", "z_mean", "decoded"])
def test_an_empty_array_to_compare_with_is_refused(bundle: Path, name: str) -> None:
    import numpy as np

    stored = dict(np.load(bundle / "check.npz"))
    stored[name] = stored[name][:0]
    np.savez(bundle / "check.npz", **stored)
    with pytest.raises(BundleError, match=f"{name} is empty"):
        vae_runtime.load(bundle, provider="cpu").check()
