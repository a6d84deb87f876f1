"""Which conditions hold on which kinds of CPUs."""

import platform

import pytest

from vae_runtime.engine.conditions import conditions_here


@pytest.mark.parametrize(
    ("machine", "conditions"),
    [
        ("x86_64", {"blocked_layouts"}),
        ("AMD64", {"blocked_layouts"}),
        ("aarch64", {"plain_layouts", "arm64"}),
        ("arm64", {"plain_layouts", "arm64"}),
        ("riscv64", {"plain_layouts"}),
    ],
)
def test_conditions_follow_from_the_machine(
    machine: str, conditions: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert conditions_here() == conditions
