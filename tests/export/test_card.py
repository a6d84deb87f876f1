"""One file to carry, and its card."""

from pathlib import Path

import pytest

import vae_runtime
from vae_export import export_checkpoint
from vae_runtime.errors import VAEError


@pytest.mark.slow
def test_a_zip_is_the_bundle_in_one_file_with_its_card(checkpoint: Path, tmp_path: Path) -> None:
    folder, _ = export_checkpoint(checkpoint, tmp_path / "folder.vae")
    file, bundle = export_checkpoint(checkpoint, tmp_path / "a.vae", as_zip=True, with_card=True)
    again, _ = export_checkpoint(checkpoint, tmp_path / "b.vae", as_zip=True, with_card=True)
    if len(bundle.variants) == len(vae_runtime.load(again).bundle.variants):
        assert file.read_bytes() == again.read_bytes()
    vae = vae_runtime.load(file, provider="cpu")
    expected = vae_runtime.load(folder, provider="cpu")
    assert vae.sample(2, seed=0).tobytes() == expected.sample(2, seed=0).tobytes()
    card = vae.storage.read("README.md").decode()
    assert card.startswith("---\nlibrary_name: vae-edge\n")
    assert "| latent dimensions | 2 |" in card


def test_what_is_no_bundle_is_never_replaced_by_a_zip(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.vae").write_text("mine")
    for force in (False, True):
        with pytest.raises(VAEError, match=r"notes.vae: exists"):
            export_checkpoint(checkpoint, tmp_path / "notes.vae", as_zip=True, force=force)
    assert (tmp_path / "notes.vae").read_text() == "mine"
