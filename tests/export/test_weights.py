"""Weights load from the files that people save, and from nothing that would run code."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from vae_export.weights import load_weights
from vae_runtime.errors import VAEError


def module() -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))


SAVED = module().state_dict()


def prefixed(prefix: str) -> dict[str, Any]:
    return {prefix + name: value for name, value in SAVED.items()}


FILES: dict[str, Any] = {
    "bare": SAVED,
    "lightning": {"state_dict": prefixed("model."), "epoch": 3},
    "pythae": {"model_state_dict": SAVED},
    "parallel": prefixed("module."),
    "compiled": prefixed("_orig_mod."),
    "both": {"state_dict": prefixed("model._orig_mod.")},
    "beside a loss": {"state_dict": {**prefixed("vae."), "loss.weight": torch.ones(1)}},
    "pickled module": {"model": SAVED, "optimizer": {"state": {}}},
}


@pytest.mark.parametrize("name", FILES)
def test_wrappers_and_prefixes_are_taken_off(tmp_path: Path, name: str) -> None:
    file = tmp_path / "saved.pt"
    torch.save(FILES[name], file)
    loaded = module()
    found = load_weights(loaded, file)
    assert found.startswith(f"weights: {file}")
    for key, value in loaded.state_dict().items():
        torch.testing.assert_close(value, SAVED[key])
    if name == "beside a loss":
        assert "1 other tensors left out" in found


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ({"epoch": 3}, "it holds epoch"),
        ([1, 2], "holds a list"),
        ({"0.weight": torch.ones(3, 2)}, "Missing key"),
        ({**SAVED, "more": torch.ones(1)}, "Unexpected key"),
        ({**SAVED, "0.weight": torch.ones(9, 9)}, "size mismatch"),
    ],
    ids=["no weights", "a list", "a part", "more", "another size"],
)
def test_other_contents_are_one_line(tmp_path: Path, contents: Any, message: str) -> None:
    file = tmp_path / "saved.pt"
    torch.save(contents, file)
    with pytest.raises(VAEError, match=message) as caught:
        load_weights(module(), file)
    assert "\n" not in str(caught.value)


def test_a_pickled_module_is_unpickled_only_when_trusted(tmp_path: Path) -> None:
    file = tmp_path / "whole.pt"
    saved = module()
    torch.save(saved, file)
    with pytest.raises(VAEError, match="running code from the file; --trust"):
        load_weights(module(), file)
    loaded = module()
    load_weights(loaded, file, trust=True)
    torch.testing.assert_close(loaded[0].weight, saved[0].weight)


def test_safetensors_are_read_or_their_package_is_named(tmp_path: Path) -> None:
    file = tmp_path / "saved.safetensors"
    file.write_bytes(b"no tensors")
    with pytest.raises(VAEError, match=r"saved\.safetensors: (cannot be read|reading it needs)"):
        load_weights(module(), file)


def test_a_missing_and_a_damaged_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(VAEError, match="no such file"):
        load_weights(module(), tmp_path / "none.pt")
    (tmp_path / "noise.pt").write_bytes(b"\x80\x04K\x01.")
    with pytest.raises(VAEError, match=r"noise.pt"):
        load_weights(module(), tmp_path / "noise.pt")
    for contents in (b"", b"hello" * 100):
        (tmp_path / "text.pt").write_bytes(contents)
        with pytest.raises(VAEError, match=r"text.pt: cannot be read: torch.save wrote nothing"):
            load_weights(module(), tmp_path / "text.pt")
