"""An explicit provider that cannot run is an error that says why."""

import pytest

import vae_runtime
from vae_runtime import ProviderError
from vae_runtime.engine.providers import CPU, cuda_problem, resolve


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


def test_the_cpu_takes_no_provider_options() -> None:
    with pytest.raises(ProviderError, match="no provider options: foo"):
        vae_runtime.load(provider="cpu", provider_options={"foo": 1})
