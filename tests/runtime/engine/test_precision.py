"""Which precision `auto` takes."""

import re

import pytest

from vae_runtime.bundle import Bundle, GraphFile, Variant
from vae_runtime.engine.precision import choose_precision
from vae_runtime.engine.providers import CPU


@pytest.mark.parametrize(
    ("flags", "change", "precision", "reason"),
    [
        ({"avx512_vnni"}, -0.1, "int8", "-0.10 nats"),
        ({"asimddp"}, 0.2, "int8", r"\+0.20 nats"),
        ({"avx2", "avx512f"}, -0.1, "fp32", "has AVX2 without"),
        ({"sse4_2"}, -0.1, "fp32", "no integer dot-product instructions and no AVX2"),
        ({"avx_vnni"}, -0.31, "fp32", "-0.31 nats, the budget is 0.3"),
        ({"avx_vnni"}, None, "fp32", "None nats"),
    ],
)
def test_auto_takes_int8_by_its_rule(
    monkeypatch: pytest.MonkeyPatch,
    flags: set[str],
    change: float | None,
    precision: str,
    reason: str,
) -> None:
    monkeypatch.setattr("vae_runtime.engine.precision.instruction_sets", lambda: flags)
    graph = GraphFile("a.onnx", "", 0)
    int8 = Variant("int8", "int8", (CPU,), graph, graph, elbo_change=change)
    chosen, why = choose_precision(
        "auto", Bundle(2, (1, 28, 28), (Variant("fp32", "fp32", ("*",), graph, graph), int8)), CPU
    )
    assert chosen == precision
    assert re.search(reason, why)


@pytest.mark.parametrize(
    ("flags", "gains", "precision", "reason"),
    [
        ({"avx2", "avx_vnni"}, {"integer_dot_products": 2.14}, "int8", "reckoned 2.1 times as"),
        ({"avx2"}, {"integer_dot_products": 2.14}, "fp32", "isn't known to be faster"),
        ({"avx2"}, {"integer_dot_products": 2, "blocked_layouts": 1.4}, "int8", "has AVX2 without"),
        ({"asimd"}, {"integer_dot_products": 2, "blocked_layouts": 1.4}, "fp32", "no integer"),
        ({"asimddp"}, {"blocked_layouts": 1.4}, "fp32", "isn't known to be faster"),
    ],
)
def test_auto_takes_int8_where_the_bundle_says_that_it_is_faster(
    monkeypatch: pytest.MonkeyPatch,
    flags: set[str],
    gains: dict[str, float],
    precision: str,
    reason: str,
) -> None:
    monkeypatch.setattr("vae_runtime.engine.precision.instruction_sets", lambda: flags)
    graph = GraphFile("a.onnx", "", 0)
    fp32 = Variant("fp32", "fp32", ("*",), graph, graph)
    int8 = Variant("int8", "int8", (CPU,), graph, graph, elbo_change=0.1, gains=gains)
    bundle = Bundle(2, (1, 28, 28), (fp32, int8))
    chosen, why = choose_precision("auto", bundle, CPU)
    assert (chosen, reason in why) == (precision, True), why
    # Who asks for int8 gets it anywhere.
    assert choose_precision("int8", bundle, CPU)[0] == "int8"
