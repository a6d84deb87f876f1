"""What other programs import: one documented place, and the names that it had before."""

import importlib

import pytest

from vae_runtime import formats


@pytest.mark.parametrize("name", formats.PUBLIC)
def test_everything_public_is_there(name: str) -> None:
    assert callable(getattr(formats, name))


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("images", "read_images"),
        ("png", "save_png"),
        ("png", "sheet"),
        ("files", "atomic_file"),
        ("npy", "write_npy"),
    ],
)
def test_old_module_names_lead_to_the_same_functions(module: str, name: str) -> None:
    old = importlib.import_module(f"vae_runtime.{module}")
    assert getattr(old, name) is getattr(formats, name)
