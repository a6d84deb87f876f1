import os
import re
from pathlib import Path

import pytest

import vae_runtime
from vae_runtime import ProviderError
from vae_runtime.bundle import Bundle, GraphFile, Variant
from vae_runtime.precision import choose_precision
from vae_runtime.providers import CPU, cuda_problem, resolve
from vae_runtime.threads import cgroup_limit, default_threads


@pytest.mark.skipif(not cuda_problem(), reason="CUDA works here")
@pytest.mark.parametrize("provider", ["cuda", "cuda:0", "CUDAExecutionProvider"])
def test_cuda_that_cannot_run_is_an_error_that_says_why(provider: str) -> None:
    with pytest.raises(ProviderError, match="CUDA cannot run here: .+"):
        vae_runtime.load(provider=provider)


def test_an_unknown_provider_is_an_error_with_the_known_ones() -> None:
    with pytest.raises(ProviderError, match="no such provider; it has .*CPUExecutionProvider"):
        vae_runtime.load(provider="abacus")


def test_the_cpu_has_three_names() -> None:
    assert {resolve(name).name for name in ("cpu", "CPU", "CPUExecutionProvider")} == {CPU}


def test_threads_follow_omp_num_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert default_threads() == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "5,2")
    assert default_threads() == 5
    monkeypatch.setenv("OMP_NUM_THREADS", "zero")
    assert default_threads() <= len(os.sched_getaffinity(0))


def test_threads_follow_the_cgroups_quota(tmp_path: Path) -> None:
    assert cgroup_limit(tmp_path) > 1000
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    assert cgroup_limit(tmp_path) == 2
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert cgroup_limit(tmp_path) > 1000
    (tmp_path / "cpu.max").unlink()
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("-1\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert cgroup_limit(tmp_path) > 1000
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("50000\n")
    assert cgroup_limit(tmp_path) == 1


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


@pytest.mark.parametrize(
    ("flags", "change", "precision", "reason"),
    [
        ({"avx512_vnni"}, -0.1, "int8", "-0.10 nats"),
        ({"asimddp"}, 0.2, "int8", r"\+0.20 nats"),
        ({"avx2", "avx512f"}, -0.1, "fp32", "no integer dot-product"),
        ({"avx_vnni"}, -0.31, "fp32", "-0.31 nats, the budget is 0.3"),
        ({"avx_vnni"}, None, "fp32", "None nats"),
    ],
)
def test_auto_takes_int8_by_its_rule(
    monkeypatch: pytest.MonkeyPatch, flags: set[str], change: float | None, precision: str, reason: str
) -> None:
    monkeypatch.setattr("vae_runtime.precision.cpu_flags", lambda: flags)
    graph = GraphFile("a.onnx", "", 0)
    int8 = Variant("int8", "int8", (CPU,), graph, graph, elbo_change=change)
    chosen, why = choose_precision(
        "auto", Bundle(2, (1, 28, 28), (Variant("fp32", "fp32", ("*",), graph, graph), int8)), CPU
    )
    assert chosen == precision
    assert re.search(reason, why)


def test_the_cpu_takes_no_provider_options() -> None:
    with pytest.raises(ProviderError, match="no provider options: foo"):
        vae_runtime.load(provider="cpu", provider_options={"foo": 1})
