"""Which variant of a bundle runs where."""

import pytest

import vae_runtime
from vae_runtime.bundle import Bundle, GraphFile, Variant
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
