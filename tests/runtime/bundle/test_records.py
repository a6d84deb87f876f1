"""Which variant of a bundle runs where."""

import json
from dataclasses import replace

import pytest

import vae_runtime
from vae_runtime.bundle import Bundle, GraphFile, Variant, from_json, to_json
from vae_runtime.engine.precision import choose_precision
from vae_runtime.engine.providers import CPU


def test_a_portable_graph_is_taken_where_no_variant_fits() -> None:
    graph = GraphFile("a.onnx", "", 0)
    portable = Variant("fp32", "fp32", ("*",), graph, graph)
    cpu = Variant("cpu", "fp32", (CPU,), graph, graph)
    bundle = Bundle(2, (1, 28, 28), (portable, cpu))
    assert bundle.variant("fp32", CPU).name == "cpu"
    assert bundle.variant("fp32", "CUDAExecutionProvider").name == "fp32"
    with pytest.raises(vae_runtime.BundleError, match="no int8 graphs"):
        bundle.variant("int8", CPU)
    assert choose_precision("auto", bundle, CPU)[0] == "fp32"
    with pytest.raises(ValueError, match="'int8' is not in this bundle; it has fp32"):
        choose_precision("int8", bundle, CPU)


def test_a_variant_is_taken_where_one_of_its_conditions_holds() -> None:
    graph = GraphFile("a.onnx", "", 0)
    portable = Variant("fp32", "fp32", ("*",), graph, graph)
    blocked = Variant("cpu", "fp32", (CPU,), graph, graph, requires=("blocked_layouts", "new"))
    bundle = Bundle(2, (1, 28, 28), (portable, blocked))
    assert bundle.variant("fp32", CPU, frozenset({"blocked_layouts"})).name == "cpu"
    assert bundle.variant("fp32", CPU, frozenset({"plain_layouts"})).name == "fp32"


def test_conditions_make_a_bundle_one_of_schema_2_which_older_readers_refuse() -> None:
    graph = GraphFile("a.onnx", "0" * 64, 0)
    portable = Variant("fp32", "fp32", ("*",), graph, graph)
    plain = Bundle(2, (1, 28, 28), (portable,))
    assert json.loads(to_json(plain))["schema"] == 1
    conditional = Bundle(2, (1, 28, 28), (portable, replace(portable, requires=("plain_layouts",))))
    assert json.loads(to_json(conditional))["schema"] == 2
    assert from_json(to_json(conditional)) == conditional
