from pathlib import Path

import pytest

from vae_train.cache import cache_folder


def test_the_cache_folder_follows_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("VAE_EDGE_CACHE", raising=False)
    assert cache_folder() == tmp_path / "vae-edge"
    monkeypatch.setenv("VAE_EDGE_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
