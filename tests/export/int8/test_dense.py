"""Dense layers of few inputs: weights in bytes, products in floats."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from tests.export.rewrites.layers import QUICK, random_weights

from vae_export.int8.dense import FEW_INPUTS, names_with_few_inputs, store_weights_as_bytes
from vae_export.int8.qdq import CalibratedModel
from vae_runtime.arrays import Float32
from vae_runtime.engine.providers import CPU


def dense(weight: Float32, *, transposed: bool = True) -> onnx.ModelProto:
    """A Gemm of `weight` (outputs, inputs)."""
    outputs, inputs = weight.shape
    stored = weight if transposed else np.ascontiguousarray(weight.T)
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "w"], ["y"], name="dense", transB=int(transposed))],
        "dense",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", inputs])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", outputs])],
        [numpy_helper.from_array(stored, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def run(model_bytes: bytes, x: Float32) -> Float32:
    session = onnxruntime.InferenceSession(model_bytes, providers=[CPU])
    (y,) = session.run(None, {"x": x})
    return np.asarray(y)


@pytest.mark.parametrize("transposed", [True, False])
def test_the_number_of_inputs_decides(transposed: bool) -> None:
    for inputs, expected in ((FEW_INPUTS, {"dense"}), (FEW_INPUTS + 1, set())):
        weight = random_weights(0, w=(128, inputs))["w"]
        assert names_with_few_inputs(dense(weight, transposed=transposed)) == expected


@QUICK
@given(
    inputs=st.integers(1, 24),
    outputs=st.integers(1, 24),
    transposed=st.booleans(),
    exponent=st.integers(-20, 20),
    seed=st.integers(0, 99),
)
def test_each_weight_is_within_half_a_step_of_its_output(
    inputs: int, outputs: int, transposed: bool, exponent: int, seed: int
) -> None:
    weight = random_weights(seed, w=(outputs, inputs))["w"] * np.float32(10.0) ** exponent
    weight[0] = 0
    model = dense(weight, transposed=transposed)
    store_weights_as_bytes(model, {"dense"})
    stored = [numpy_helper.to_array(tensor) for tensor in model.graph.initializer]
    assert {array.dtype for array in stored} == {np.dtype(np.int8), np.dtype(np.float32)}
    found = run(model.SerializeToString(), np.eye(inputs, dtype=np.float32)).T
    half_a_step = np.abs(weight).max(1, keepdims=True) / 127 / 2
    assert np.all(np.abs(found - weight) <= half_a_step * 1.001)


def test_onnxruntime_makes_floats_of_the_bytes_as_it_loads(tmp_path: Path) -> None:
    model = dense(random_weights(0, w=(256, 32))["w"])
    x = random_weights(1, w=(8, 32))["w"]
    int8 = CalibratedModel(model, x, ["dense"]).quantize(["dense"], 100.0)
    assert len(int8) < len(model.SerializeToString()) / 3
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    onnxruntime.InferenceSession(int8, options, providers=[CPU])
    optimized = onnx.load(tmp_path / "optimized.onnx")
    assert [node.op_type for node in optimized.graph.node] == ["Gemm"]
