"""VAEs by path: what a library's folder needs, said in one line where it isn't there."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from vae_export.loading import is_library_folder, load_pickled, load_vae
from vae_runtime.errors import VAEError


def test_a_folder_of_a_library_that_is_missing_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model_config.json").write_text('{"name": "VAEConfig"}')
    monkeypatch.setitem(sys.modules, "pythae.models", None)
    assert is_library_folder(tmp_path)
    with pytest.raises(VAEError, match="was saved by pythae.*pip install pythae"):
        load_vae(str(tmp_path), None, trust=False)


def test_whatever_a_library_raises_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text('{"_class_name": "VAE"}')
    # As a library does whose own optional dependency is missing.
    broken = "class VAE:\n    def from_pretrained(folder): return Missing(folder)\n"
    (tmp_path / "diffusers.py").write_text(broken)
    monkeypatch.delitem(sys.modules, "diffusers", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(VAEError, match="cannot be loaded: name 'Missing' is not defined"):
        load_vae(str(tmp_path), None, trust=False)
    sys.modules.pop("diffusers", None)


def test_pythaes_pickled_parts_are_not_read_without_trust(tmp_path: Path) -> None:
    (tmp_path / "model_config.json").write_text('{"name": "VAEConfig"}')
    (tmp_path / "encoder.pkl").write_bytes(b"")
    with pytest.raises(VAEError, match=r"encoder.pkl is read by running code.*--trust"):
        load_vae(str(tmp_path), None, trust=False)


@pytest.mark.parametrize("text", ["", "[]", "{}", json.dumps({"_class_name": 7})])
def test_a_configuration_that_is_not_diffusers_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(VAEError, match=r"config.json: not the configuration|diffusers"):
        load_vae(str(tmp_path), None, trust=False)


def test_a_pipeline_folder_gives_its_vae(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text("{}")
    with pytest.raises(VAEError, match=r"vae.config.json: not the configuration"):
        load_vae(str(tmp_path), None, trust=False)


def test_a_pickled_module_is_loaded_with_trust_and_nothing_else_is_taken(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2), tmp_path / "whole.pt")
    assert isinstance(load_pickled(tmp_path / "whole.pt", trust=True).modules[0], nn.Linear)
    torch.save({"a": 1}, tmp_path / "other.pt")
    with pytest.raises(VAEError, match="holds a dict, not a whole torch module"):
        load_pickled(tmp_path / "other.pt", trust=True)


def test_a_pickled_module_finds_its_class_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    # The command's own path holds no "", unlike that of `python -m`.
    monkeypatch.setattr(sys, "path", [folder for folder in sys.path if folder])
    source = "from torch import nn\nclass Own(nn.Linear): pass\n"
    Path("module_of_this_folder.py").write_text(source)
    run = "import torch, module_of_this_folder as m; torch.save(m.Own(2, 2), 'whole.pt')"
    subprocess.run([sys.executable, "-c", run], check=True)
    loaded = load_pickled(Path("whole.pt"), trust=True)
    assert type(loaded.modules[0]).__name__ == "Own"
    assert "" not in sys.path
