"""What a configuration accepts, and that each of its names is implemented and documented."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vae_runtime.errors import VAEError
from vae_train.config import NETWORKS_NAMES, OPTIMIZER_NAMES, PRESETS, TrainConfig
from vae_train.model import NETWORKS
from vae_train.optim import OPTIMIZERS

TRAINING_PAGE = Path(__file__).parents[2] / "docs" / "training.md"


@pytest.mark.parametrize("config", PRESETS.values(), ids=list(PRESETS))
def test_a_configuration_survives_the_checkpoint(config: TrainConfig) -> None:
    assert TrainConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"optimizer": "mouon"}, "optimizer 'mouon' is not one of muon, adam, rmsprop"),
        ({"networks": "deap"}, "networks 'deap' is not one of reference, deep, cells"),
        ({"sampling": "bok"}, "sampling 'bok' is not one of standard, book"),
        (
            {"likelihood": "gausian"},
            "likelihood 'gausian' is not one of bernoulli, continuous_bernoulli, gaussian",
        ),
        ({"fit": "cut"}, "fit 'cut' is not one of contain, stretch, crop, mnist"),
    ],
)
def test_a_name_that_does_not_exist_is_refused_with_those_that_do(
    setting: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        TrainConfig("default", **setting)
    with pytest.raises(ValueError, match=f"^{message}$"):
        replace(PRESETS["default"], **setting)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1, not 0"),
        ({"batch_size": 0}, "batch_size must be at least 1, not 0"),
        ({"latent_dim": -2}, "latent_dim must be at least 1, not -2"),
        ({"seed": -1}, "seed must be at least 0, not -1"),
        ({"shift": -1}, "shift must be at least 0, not -1"),
        ({"validation": -1}, "validation must be at least 0, not -1"),
        ({"decoder_epochs": -1}, "decoder_epochs must be at least 0, not -1"),
        ({"encoder_epochs": -1}, "encoder_epochs must be at least 0, not -1"),
        ({"encoder_noise": float("nan")}, "encoder_noise must be at least 0, not nan"),
        ({"beta": -0.5}, "beta must be at least 0, not -0.5"),
        ({"warmup": 1.5}, "warmup must be at most 1, not 1.5"),
        ({"learning_rate": 0.0}, "learning_rate must be positive and finite, not 0.0"),
        ({"learning_rate": float("inf")}, "learning_rate must be positive and finite, not inf"),
        ({"image_shape": (1, 0, 28)}, "image_shape must be three positive numbers, not (1, 0, 28)"),
        ({"image_shape": (28, 28)}, "image_shape must be three positive numbers, not (28, 28)"),
    ],
    ids=str,
)
def test_a_number_out_of_range_is_refused(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        TrainConfig("default", **setting)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            {"latent_dim": 3},
            "latent_dim must be at most 2 for epochs on the exact posterior, not 3",
        ),
        (
            {"likelihood": "gaussian"},
            "likelihood must be 'bernoulli' for epochs on the exact posterior, not 'gaussian'",
        ),
        (
            {"sampling": "book"},
            "sampling must be 'standard' for epochs on the exact posterior, not 'book'",
        ),
        ({"networks": "deep"}, "networks must be 'cells' for encoder_epochs, not 'deep'"),
        (
            {"encoder_epochs": 0},
            "networks 'cells' need encoder_epochs, in which they learn the cells",
        ),
    ],
    ids=str,
)
def test_what_the_exact_posterior_cannot_be_had_for_is_refused(
    setting: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        replace(PRESETS["exact"], **setting)


def test_the_epochs_of_all_phases_are_counted() -> None:
    assert PRESETS["exact"].total_epochs == 2 + 6 + 5
    assert PRESETS["exact"].has_exact_phases
    assert PRESETS["best"].total_epochs == PRESETS["best"].epochs
    assert not PRESETS["best"].has_exact_phases


def test_settings_of_a_newer_version_are_refused() -> None:
    values = PRESETS["default"].to_dict() | {"momentum": 0.9}
    with pytest.raises(VAEError, match=r"unknown training settings \['momentum'\]"):
        TrainConfig.from_dict(values)


def test_every_name_has_an_implementation() -> None:
    assert tuple(NETWORKS) == NETWORKS_NAMES
    assert tuple(OPTIMIZERS) == OPTIMIZER_NAMES


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_on_the_page_and_knows_its_name(name: str) -> None:
    assert f"| `{name}` |" in TRAINING_PAGE.read_text("utf-8")
    assert PRESETS[name].preset == name
