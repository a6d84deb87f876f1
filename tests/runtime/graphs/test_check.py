"""A graph is refused for what it is, before onnxruntime sees it."""

from __future__ import annotations

import re
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.runtime import forge
from tests.runtime.forge import decoder, message, model, node, port, tensor
from tests.runtime.helpers import DATA

import vae_runtime
from vae_runtime import BundleError
from vae_runtime.graphs import GraphError, check_graph
from vae_runtime.graphs.operators import OPERATORS

Z = {"z": (2,)}
IMAGE = {"image": (1, 28, 28)}
BIG = 1 << 40
IDENTITY = node("Identity", ["pixels"], ["image"])
PLAIN = forge.plain_decoder()


def after(operator: str, *inputs: str, **attributes: forge.Attribute) -> bytes:
    """A node beside the decoder's own that computes `big`, for nobody."""
    return node(operator, inputs, ["big"], "", (), **attributes)


def beside(extra: bytes, *initializers: bytes) -> bytes:
    return decoder(extra, IDENTITY, initializers=initializers)


def numbers(*values: int) -> bytes:
    return tensor("numbers", values, np.int64)


def doubled(times: int) -> list[bytes]:
    """Images side by side, twice as many with every node."""
    names = ["pixels", *(f"more_{i}" for i in range(times))]
    nodes = []
    for before, here in pairwise(names):
        nodes.append(node("Concat", [before, before], [here], axis=1))
    return nodes


SUBGRAPH = message((1, "body"), (6, message((2, "inner"))), (20, 5))
TEXTS = message((1, 1), (2, 8), (8, "words"), (6, "a"))
ELSEWHERE = message((1, 1), (2, 1), (8, "far"), (13, message((1, "location"), (2, "/etc/passwd"))))
BATCH_TO_ZERO = [
    node("Shape", ["z"], ["n"], start=0, end=1),
    node("Sub", ["sixteen", "n"], ["left"]),
    node("Mul", ["left", "numbers"], ["many"]),
    node("ConstantOfShape", ["many"], ["big"]),
    IDENTITY,
]
WRAPPED = [
    node("Mul", ["numbers", "numbers"], ["wrapped"]),
    node("Div", ["wrapped", "numbers"], ["many"]),
    node("ConstantOfShape", ["many"], ["big"]),
    IDENTITY,
]
OUTER = [
    node("Reshape", ["pixels", "row"], ["rows"]),
    node("Reshape", ["pixels", "column"], ["columns"]),
    node("Mul", ["rows", "columns"], ["squared"]),
    node("Einsum", ["squared", "squared"], ["fourth"], equation="ab,cd->abcd"),
    IDENTITY,
]

REFUSED = {
    "nothing": b"",
    "noise": bytes(range(256)),
    "no graph": message((1, 9)),
    "loop": decoder(node("Loop", ["", ""], ["x"], more=[(5, SUBGRAPH)]), IDENTITY),
    "if": decoder(node("If", ["z"], ["x"]), IDENTITY),
    "scan": decoder(node("Scan", ["z"], ["x"]), IDENTITY),
    "random": beside(after("RandomNormalLike", "z")),
    "dropout": beside(after("Dropout", "z")),
    "strings": beside(after("StringConcat", "z", "z")),
    "sequence": beside(after("SequenceConstruct", "z")),
    "shape from data": beside(after("NonZero", "pixels")),
    "sub-graph in a plain node": decoder(
        node("Identity", ["pixels"], ["image"], more=[(5, SUBGRAPH)])
    ),
    "foreign domain": decoder(node("Identity", ["pixels"], ["image"], domain="evil")),
    "functions": model([IDENTITY], in_model=[(25, message((1, "f")))]),
    "training": model([IDENTITY], in_model=[(20, b"")]),
    "sparse initializer": model([IDENTITY], in_graph=[(15, b"")]),
    "texts": beside(after("Identity", "words"), TEXTS),
    "data elsewhere": beside(after("Identity", "far"), ELSEWHERE),
    "a second graph": PLAIN + message((7, b"")),
    "an older opset": model([IDENTITY], opset=9),
    "a newer opset": model([IDENTITY], opset=99),
    "another reference": decoder(
        node("Relu", ["pixels"], ["image"], more=[(5, message((1, "a"), (20, 2), (21, "b")))])
    ),
    "numbers elsewhere than promised": beside(
        after("Identity", "odd"), message((1, BIG), (2, 1), (8, "odd"), (9, b"\0\0\0\0"))
    ),
    "a name that is no text": decoder(node("Identity", ["pixels"], ["image"], more=[(3, b"\xff")])),
    "an input that nobody gives": decoder(node("Identity", ["ghost"], ["image"])),
    "an output twice": decoder(node("Identity", ["pixels"], ["pixels"]), IDENTITY),
    "a cycle": decoder(node("Add", ["image", "pixels"], ["image"])),
    "too many nodes": decoder(*[node("Relu", ["z"], [f"r{i}"]) for i in range(10_001)], IDENTITY),
    "ConstantOfShape": beside(after("ConstantOfShape", "numbers"), numbers(1 << 30)),
    "ConstantOfShape beyond 64 bits": beside(
        after("ConstantOfShape", "numbers"), numbers(BIG, BIG)
    ),
    "ConstantOfShape below zero": beside(after("ConstantOfShape", "numbers"), numbers(-5)),
    "Expand": beside(after("Expand", "z", "numbers"), numbers(1 << 30, 1, 1)),
    "Tile": beside(after("Tile", "pixels", "numbers"), numbers(1, 1, 5000, 5000)),
    "Range": decoder(
        node("Range", ["zero", "end", "one"], ["big"]),
        IDENTITY,
        initializers=[
            tensor("zero", 0, np.int64),
            tensor("end", 1 << 30, np.int64),
            tensor("one", 1, np.int64),
        ],
    ),
    "Pad": beside(after("Pad", "pixels", "numbers"), numbers(0, 0, 0, 0, 0, 0, 1 << 20, 1 << 20)),
    "Reshape of another size": beside(after("Reshape", "pixels", "numbers"), numbers(-1, 5000)),
    "Reshape by data": decoder(
        node("Cast", ["z"], ["sizes"], to=7), after("Reshape", "pixels", "sizes"), IDENTITY
    ),
    "Resize": beside(
        after("Resize", "pixels", "", "scales"), tensor("scales", [1.0, 1.0, 9999.0, 9999.0])
    ),
    "Resize by NaN": beside(
        after("Resize", "pixels", "", "scales"), tensor("scales", [1.0, 1.0, np.nan, 1.0])
    ),
    "Resize by infinity": beside(
        after("Resize", "pixels", "", "scales"), tensor("scales", [1.0, 1.0, np.inf, 1.0])
    ),
    "OneHot": beside(
        node("OneHot", ["numbers", "depth", "values"], ["big"]),
        numbers(1),
        tensor("depth", 1 << 40, np.int64),
        tensor("values", [0.0, 1.0]),
    ),
    "pads of a convolution": beside(
        after("Conv", "pixels", "kernel", pads=[1 << 20] * 4),
        tensor("kernel", np.ones((1, 1, 3, 3))),
    ),
    "strides backwards": beside(
        after("ConvTranspose", "pixels", "kernel", strides=[1 << 30, 1 << 30]),
        tensor("kernel", np.ones((1, 1, 3, 3))),
    ),
    "a window of zero": beside(after("MaxPool", "pixels", kernel_shape=[0, 0])),
    "attributes of another type": beside(after("MaxPool", "pixels", kernel_shape="ab")),
    "doubling without constants": decoder(*doubled(40), IDENTITY),
    "a batch that counts backwards": decoder(
        *BATCH_TO_ZERO, initializers=[tensor("sixteen", [16], np.int64), numbers(1 << 30)]
    ),
    "numbers that wrap around": decoder(*WRAPPED, initializers=[numbers(1 << 62)]),
    "outer products": decoder(
        *OUTER,
        initializers=[tensor("row", [1, -1], np.int64), tensor("column", [-1, 1], np.int64)],
    ),
    "an Einsum that never ends": beside(
        after("Einsum", "z", "z", "z", "z", equation="ab,cd,ef,gh->abcdefgh")
    ),
    "an Einsum of no letters": beside(after("Einsum", "z", equation="...->...")),
    "another image": decoder(node("Transpose", ["pixels"], ["image"], perm=[1, 0, 2, 3])),
    "a further input": model(
        [IDENTITY], inputs=[port("z", ["batch", 2]), port("more", ["batch", 2])]
    ),
    "a fixed batch": model([IDENTITY], inputs=[port("z", [1, 2])]),
    "whole numbers": model([IDENTITY], inputs=[port("z", ["batch", 2], element_type=7)]),
    "a constant for an input": model([IDENTITY], [tensor("z", [[0.0, 0.0]])]),
    "training mode": beside(
        node("BatchNormalization", ["pixels"] + ["one"] * 4, ["big"], training_mode=1),
        tensor("one", [1.0]),
    ),
    "work without end": decoder(
        *[node("MatMul", ["square", "square"], [f"m{i}"]) for i in range(500)],
        IDENTITY,
        initializers=[tensor("square", np.zeros((2048, 2048), np.float32))],
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_forged_graph_is_refused(name: str) -> None:
    with pytest.raises(GraphError):
        check_graph(REFUSED[name], Z, IMAGE)


def test_a_plain_graph_passes_and_runs(bundle: Path) -> None:
    check_graph(PLAIN, Z, IMAGE)
    forge.replace_graph(bundle, "decoder", PLAIN)
    with vae_runtime.load(bundle, provider="cpu") as vae:
        assert vae.sample(3, seed=0).shape == (3, 1, 28, 28)


def test_the_error_names_the_file_and_the_operator(bundle: Path) -> None:
    forge.replace_graph(bundle, "decoder", REFUSED["random"])
    vae = vae_runtime.load(bundle, provider="cpu")
    with pytest.raises(BundleError, match=r"decoder.onnx: its node 3, 'RandomNormalLike': an oper"):
        vae.sample(1)


@pytest.mark.parametrize("name", ["digits.vae", "tiny.vae", "color.vae"])
def test_bundles_of_our_own_pass(name: str) -> None:
    folder = DATA / name
    if name == "digits.vae":
        folder = Path(vae_runtime.__file__).parent / "models" / name
    vae_runtime.load(folder, provider="cpu").verify()


@given(st.data())
def test_a_damaged_graph_is_a_graph_error_or_still_a_graph(data: st.DataObject) -> None:
    damaged = bytearray(PLAIN)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(damaged)))
    for content in (bytes(damaged), bytes(damaged[:cut])):
        with suppress(GraphError):
            check_graph(content, Z, IMAGE)


def test_the_documented_operators_are_those_that_are_read() -> None:
    page = (Path(__file__).parents[3] / "docs" / "bundle.md").read_text("utf-8")
    _, _, rest = page.partition("### Operators")
    section = rest.partition("\n## ")[0]
    own, _, foreign = section.partition("com.microsoft")
    assert set(
        re.findall(r"\b[A-Z]\w+\b", own.partition("domain:\n")[2].partition("Of the")[0])
    ) == set(OPERATORS[""])
    assert set(re.findall(r"\b[A-Z]\w+\b", foreign)) == set(OPERATORS["com.microsoft"])


NAN = decoder(
    node("Sub", ["pixels", "half"], ["centered"]),
    node("Sqrt", ["centered"], ["image"]),
    initializers=[tensor("half", [10.0])],
)
LARGE = decoder(node("Mul", ["pixels", "seven"], ["image"]), initializers=[tensor("seven", [7.0])])


@pytest.mark.parametrize(("content", "values"), [(NAN, "nan"), (LARGE, r"to [3-7]")])
def test_outputs_that_are_no_images_are_an_error_that_names_the_graph(
    content: bytes, values: str, bundle: Path
) -> None:
    forge.replace_graph(bundle, "decoder", content)
    vae = vae_runtime.load(bundle, provider="cpu")
    for count in (1, 40):
        with pytest.raises(BundleError, match=rf"decoder.onnx: it gives .*{values}"):
            vae.sample(count, seed=0)


def test_latents_that_overflow_are_refused_by_name(digits: vae_runtime.VAE) -> None:
    with pytest.raises(ValueError, match=r"z as large as 1e\+38 overflows"):
        digits.decode(np.full((1, 2), 1e38))


def test_what_onnxruntime_refuses_only_when_it_runs_is_a_bundle_error(bundle: Path) -> None:
    beyond = decoder(
        node("Gather", ["pixels", "index"], ["row"], axis=1),
        node("Mul", ["row", "pixels"], ["image"]),
        initializers=[tensor("index", [7], np.int64)],
    )
    forge.replace_graph(bundle, "decoder", beyond)
    vae = vae_runtime.load(bundle, provider="cpu")
    with pytest.raises(BundleError, match=r"decoder.onnx: onnxruntime cannot (run|load) it"):
        vae.sample(1)


def test_onnxruntime_agrees_on_what_passes() -> None:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(PLAIN, options, providers=["CPUExecutionProvider"])
    (image,) = session.run(None, {"z": np.zeros((5, 2), np.float32)})
    assert image.shape == (5, 1, 28, 28)


FIXED_PORTS = {"inputs": [port("z", [4, 2])], "outputs": [port("image", [4, 1, 28, 28])]}


def fixed_decoder(*extra: bytes) -> bytes:
    """A decoder of four images, no more and no fewer, with further nodes beside it."""
    nodes = [
        node("MatMul", ["z", "weights"], ["dense"]),
        node("Sigmoid", ["dense"], ["flat"]),
        node("Reshape", ["flat", "image_shape"], ["image"]),
    ]
    weights = [
        tensor("weights", np.zeros((2, 784), np.float32)),
        tensor("image_shape", [4, 1, 28, 28], np.int64),
        tensor("many", [1 << 26], np.int64),
    ]
    return model([*nodes, *extra], weights, FIXED_PORTS["inputs"], FIXED_PORTS["outputs"])


def test_a_graph_of_one_batch_is_checked_for_that_batch() -> None:
    check_graph(fixed_decoder(), Z, IMAGE, batch=4)
    for batch in (None, 3, 5):
        with pytest.raises(GraphError, match=r"should be float32 \((batch|3|5), 2\)"):
            check_graph(fixed_decoder(), Z, IMAGE, batch=batch)
    with pytest.raises(GraphError, match=r"should be float32 \(4, 2\); it has z \['batch', 2\]"):
        check_graph(PLAIN, Z, IMAGE, batch=4)


def test_what_onnxruntime_folds_stays_in_memory_in_graphs_of_one_batch() -> None:
    # Nothing of it depends on the input, so onnxruntime computes all of it when it loads the graph.
    constants = [node("ConstantOfShape", ["many"], [f"big{i}"]) for i in range(3)]
    with pytest.raises(GraphError, match="numbers would be in memory for a batch of 4"):
        check_graph(fixed_decoder(*constants), Z, IMAGE, batch=4)
    # Beside that, what is computed for each image is let go of after its last use.
    doubled = [node("Tile", ["z", "wide"], ["t0"])]
    doubled += [node("Neg", [f"t{i}"], [f"t{i + 1}"]) for i in range(9)]
    wide = tensor("wide", [1, 1 << 22], np.int64)
    content = model(
        [
            node("MatMul", ["z", "weights"], ["dense"]),
            node("Sigmoid", ["dense"], ["flat"]),
            node("Reshape", ["flat", "image_shape"], ["image"]),
            *doubled,
        ],
        [
            tensor("weights", np.zeros((2, 784), np.float32)),
            tensor("image_shape", [4, 1, 28, 28], np.int64),
            wide,
        ],
        FIXED_PORTS["inputs"],
        FIXED_PORTS["outputs"],
    )
    check_graph(content, Z, IMAGE, batch=4)
