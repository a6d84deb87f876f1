"""What programs import from vae_train."""

import subprocess
import sys

import pytest

import vae_train
from vae_train import config, data, loop


def test_the_public_names_are_those_of_their_modules() -> None:
    assert vae_train.PRESETS is config.PRESETS
    assert vae_train.TrainConfig is config.TrainConfig
    assert vae_train.Trainer is loop.Trainer
    assert vae_train.load_dataset is data.load_dataset
    assert vae_train.train is loop.train
    assert sorted(dir(vae_train)) == sorted(vae_train.PUBLIC)


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'vae_train' has no attribute 'trainer'"):
        _ = vae_train.trainer


def test_torch_is_imported_with_what_needs_it() -> None:
    code = """
import sys, vae_train
vae_train.PRESETS, vae_train.TrainConfig, vae_train.load_dataset
assert "torch" not in sys.modules
vae_train.Trainer
assert "torch" in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
