"""The rewrites compute the same function, on layers of any shape, and leave alone what they cannot prove."""

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from vae_export.graphs import export_graph
from vae_export.parity import session
from vae_export.rewrites import INT8_PASSES, PASSES, rewrite, rewrite_for_cpu
from vae_train.model import build_vae

QUICK = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


def graph(nodes, weights, channels, height, width) -> onnx.ModelProto:
    initializers = [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()]
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", channels, height, width])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", "c", "h", "w"])
    model = helper.make_model(
        helper.make_graph(nodes, "g", [given], [result], initializers), opset_imports=[helper.make_opsetid("", 18)]
    )
    model.ir_version = 9
    return model


def random_weights(seed, **shapes):
    random = np.random.default_rng(seed)
    return {name: random.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def outputs(model, channels, height, width, batch=3):
    x = np.random.default_rng(7).standard_normal((batch, channels, height, width)).astype(np.float32)
    return session(model.SerializeToString()).run(None, {"x": x})[0]


def assert_same(before, after, *shape):
    want = outputs(before, *shape)
    np.testing.assert_allclose(outputs(after, *shape), want, atol=1e-5 * max(1, np.abs(want).max()))


@st.composite
def upsamplings(draw):
    """A stride-2 transposed convolution that doubles its input: kernel, pads, output padding."""
    kernel, pads, extra = [], [[], []], []
    for _ in range(2):
        k, more = draw(st.integers(2, 5)), draw(st.integers(0, 1))
        total = k + more - 2
        before = draw(st.integers(0, total))
        kernel.append(k)
        pads[0].append(before)
        pads[1].append(total - before)
        extra.append(more)
    return kernel, pads[0] + pads[1], extra


def up_node(kernel, pads, extra, output="u", **more):
    values = {"kernel_shape": kernel, "strides": [2, 2], "pads": pads, "output_padding": extra, **more}
    return helper.make_node("ConvTranspose", ["x", "w", "b"], [output], **values)


@QUICK
@given(
    upsamplings(),
    st.integers(1, 6),
    st.integers(1, 6),
    st.integers(1, 7),
    st.integers(1, 7),
    st.sampled_from(["Relu", "Sigmoid", "LeakyRelu", None]),
    st.integers(0, 99),
)
def test_transposed_convolutions_become_phases(up, channels, out, height, width, activation, seed):
    weights = random_weights(seed, w=(channels, out, *up[0]), b=(out,))
    nodes = [up_node(*up, output="u" if activation else "y")]
    nodes += [helper.make_node(activation, ["u"], ["y"])] if activation else []
    before = graph(nodes, weights, channels, height, width)
    after = rewrite(before)
    assert after is not None
    assert "ConvTranspose" not in {node.op_type for node in after.graph.node}
    assert_same(before, after, channels, height, width)


@st.composite
def last_layers(draw):
    """A transposed convolution, ReLU, a convolution that keeps the size, sigmoid: the graph and its input's shape."""
    channels, middle, out = draw(st.integers(1, 5)), draw(st.integers(1, 9)), draw(st.integers(1, 4))
    up, shape = draw(upsamplings()), (channels, draw(st.integers(1, 6)), draw(st.integers(1, 6)))
    kernel = [draw(st.integers(1, 5)) for _ in range(2)]
    before_pads = [draw(st.integers(0, k - 1)) for k in kernel]
    pads = before_pads + [k - 1 - p for k, p in zip(kernel, before_pads, strict=True)]
    shapes = {"w": (channels, middle, *up[0]), "b": (middle,), "v": (out, middle, *kernel), "c": (out,)}
    nodes = [
        up_node(*up),
        helper.make_node("Relu", ["u"], ["r"]),
        helper.make_node("Conv", ["r", "v", "c"], ["l"], kernel_shape=kernel, pads=pads),
        helper.make_node("Sigmoid", ["l"], ["y"]),
    ]
    return graph(nodes, random_weights(draw(st.integers(0, 99)), **shapes), *shape), shape


@QUICK
@given(last_layers())
def test_a_last_convolution_is_separated(layers):
    before, shape = layers
    after = rewrite(before)
    kinds = [node.op_type for node in after.graph.node]
    assert "ConvTranspose" not in kinds
    assert "Concat" not in kinds
    assert_same(before, after, *shape)


@QUICK
@given(last_layers())
def test_for_int8_a_last_convolution_makes_blocks(layers):
    before, shape = layers
    after = rewrite(before, INT8_PASSES)
    in_blocks = shape[1] % 2 == 0 and shape[2] % 2 == 0  # phases with an odd side are left to the other pass
    assert ("Concat" in {node.op_type for node in after.graph.node}) == in_blocks
    assert_same(before, after, *shape)


@QUICK
@given(st.integers(2, 5), st.integers(0, 2), st.integers(0, 2), st.integers(2, 6), st.booleans(), st.integers(0, 99))
def test_crops_are_folded_into_the_transposed_convolution(kernel, rows, columns, side, at_once, seed):
    weights = random_weights(seed, w=(3, 4, kernel, kernel), b=(4,))
    crops = [(2, rows), (3, columns)]
    names = {"step": np.array([1]), "zero": np.array([0])}
    node = [helper.make_node("ConvTranspose", ["x", "w", "b"], ["u"], kernel_shape=[kernel] * 2, strides=[2, 2])]
    last = "u"
    for axis, crop in crops:
        end = -crop if crop else np.iinfo(np.int64).max
        names |= {f"e{axis}": np.array([end]), f"a{axis}": np.array([axis])}
        name = "y" if axis == 3 else "v"
        node.append(helper.make_node("Slice", [last, "zero", f"e{axis}", f"a{axis}", "step"], [name]))
        last = name
    if at_once:
        names |= {"e": np.array([names["e2"][0], names["e3"][0]]), "a": np.array([2, 3]), "z2": np.array([0, 0])}
        node[1:] = [helper.make_node("Slice", ["u", "z2", "e", "a"], ["y"])]
    before = graph(node, weights | names, 3, side, side)
    after = rewrite(before)
    assert "Slice" not in {n.op_type for n in after.graph.node}
    assert_same(before, after, 3, side, side)


@pytest.mark.parametrize(
    "change",
    [{"strides": [3, 3]}, {"group": 2}, {"dilations": [2, 2]}, {"auto_pad": "SAME_UPPER"}, {"strides": [2, 1]}],
    ids=str,
)
def test_what_is_not_proven_is_left_alone(change):
    weights = random_weights(0, w=(4, 4 // change.get("group", 1), 3, 3), b=(4,))
    values = {"kernel_shape": [3, 3], "strides": [2, 2], **change}
    model = graph([helper.make_node("ConvTranspose", ["x", "w", "b"], ["y"], **values)], weights, 4, 5, 5)
    assert rewrite(model) is None


def test_values_used_twice_are_left_alone():
    weights = random_weights(0, w=(3, 4, 3, 3), b=(4,), v=(1, 4, 3, 3))
    nodes = [
        up_node([3, 3], [0, 0, 1, 1], [0, 0]),
        helper.make_node("Conv", ["u", "v"], ["l"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["u", "l"], ["y"]),
    ]
    before = graph(nodes, weights, 3, 5, 6)
    assert_same(before, rewrite(before) or before, 3, 5, 6)


@pytest.mark.parametrize("pad_value", [0.0, 1.0])
def test_only_zero_pads_are_folded(pad_value):
    weights = random_weights(0, w=(4, 3, 3, 3), b=(4,))
    weights |= {"p": np.array([0, 0, 0, 1, 0, 0, 1, 2]), "f": np.float32(pad_value)}
    nodes = [
        helper.make_node("Pad", ["x", "p", "f"], ["q"]),
        helper.make_node("Conv", ["q", "w", "b"], ["y"], kernel_shape=[3, 3], strides=[2, 2]),
    ]
    before = graph(nodes, weights, 3, 7, 8)
    after = rewrite(before)
    assert (after is None) == (pad_value != 0)
    if after is not None:
        assert_same(before, after, 3, 7, 8)


@pytest.mark.parametrize("networks", ["reference", "deep"])
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 64, 64)])
def test_a_batch_may_be_split_anywhere(networks, shape):
    vae = build_vae(shape, 4, seed=0, networks=networks).eval()
    plain = export_graph(vae.decoder, (4,), "z", ["image"], {}).SerializeToString()
    rewritten = rewrite_for_cpu(plain)
    z = np.random.default_rng(0).standard_normal((37, 4)).astype(np.float32)
    run = session(rewritten).run
    whole = run(None, {"z": z})[0]
    for chunk in (1, 2, 16):
        parts = [run(None, {"z": z[i : i + chunk]})[0] for i in range(0, len(z), chunk)]
        assert np.concatenate(parts).tobytes() == whole.tobytes()
    np.testing.assert_allclose(whole, session(plain).run(None, {"z": z})[0], atol=1e-6)


def test_every_pass_says_what_it_does():
    assert all(rule.__doc__ for rule in {*PASSES, *INT8_PASSES})
