"""Passes as a whole: real decoders, what must be left alone, and the protocol."""

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from onnx import helper
from tests.export.rewrites.layers import (
    QUICK,
    UpsamplingLayer,
    assert_same,
    last_layers,
    make_model,
    random_weights,
)

from vae_export.graphs import export_graph
from vae_export.ort import open_session
from vae_export.rewrites import INT8_PASSES, PASSES, rewrite, rewrite_for_cpu
from vae_export.rewrites.editor import Editor
from vae_runtime.arrays import ImageShape
from vae_train.config import PRESETS
from vae_train.model import build_vae


@pytest.mark.parametrize("preset", ["default", "best"])
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 64, 64)])
@pytest.mark.slow
def test_a_batch_may_be_split_anywhere(preset: str, shape: ImageShape) -> None:
    vae = build_vae(shape, 4, seed=0, networks=PRESETS[preset].networks).eval()
    plain = export_graph(vae.decoder, (4,), "z", ["image"], {}).SerializeToString()
    rewritten = rewrite_for_cpu(plain)
    assert rewritten is not None
    z = np.random.default_rng(0).standard_normal((37, 4)).astype(np.float32)
    session = open_session(rewritten)
    (whole,) = session.run(None, {"z": z})
    for chunk in (1, 2, 16):
        parts = []
        for start in range(0, len(z), chunk):
            parts += session.run(None, {"z": z[start : start + chunk]})
        assert np.concatenate(parts).tobytes() == whole.tobytes()
    (expected,) = open_session(plain).run(None, {"z": z})
    np.testing.assert_allclose(whole, expected, atol=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        {"strides": [3, 3]},
        {"group": 2},
        {"dilations": [2, 2]},
        {"auto_pad": "SAME_UPPER"},
        {"strides": [2, 1]},
    ],
    ids=str,
)
def test_what_is_not_proven_is_left_alone(change: dict[str, Any]) -> None:
    weights = random_weights(0, w=(4, 4 // change.get("group", 1), 3, 3), b=(4,))
    settings = {"kernel_shape": [3, 3], "strides": [2, 2], **change}
    node = helper.make_node("ConvTranspose", ["x", "w", "b"], ["y"], **settings)
    assert rewrite(make_model([node], weights, (4, 5, 5))) is None


def test_values_used_twice_are_left_alone() -> None:
    weights = random_weights(0, w=(3, 4, 3, 3), b=(4,), v=(1, 4, 3, 3))
    nodes = [
        UpsamplingLayer([3, 3], [0, 0, 1, 1], [0, 0]).node("u"),
        helper.make_node("Conv", ["u", "v"], ["l"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["u", "l"], ["y"]),
    ]
    before = make_model(nodes, weights, (3, 5, 6))
    assert_same(before, rewrite(before) or before, (3, 5, 6))


@QUICK
@given(last_layers())
def test_no_pass_fits_what_it_has_rewritten(layers: tuple[onnx.ModelProto, ImageShape]) -> None:
    before, _ = layers
    for passes in (PASSES, INT8_PASSES):
        after = rewrite(before, passes)
        assert after is not None
        for apply_once in passes:
            assert not apply_once(Editor(after))


def test_every_pass_says_what_it_does() -> None:
    assert all(apply_once.__doc__ for apply_once in {*PASSES, *INT8_PASSES})
