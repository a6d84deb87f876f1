"""What a run's settings come from: options, a checkpoint, a preset."""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest

from vae_runtime.errors import VAEError
from vae_train.checkpoint import RunState, load_state
from vae_train.cli.settings import (
    CONFIG_OPTIONS,
    TrainOptions,
    load_own_dataset,
    load_resumed_dataset,
    new_config,
    resumed_config,
)
from vae_train.cli.train import train_command
from vae_train.config import PRESETS, TrainConfig
from vae_train.data import Dataset, DataSource
from vae_train.loop import Trainer


def options(folder: Path, **given: Any) -> TrainOptions:
    return TrainOptions(output=folder, **given)


@pytest.fixture
def state(config: TrainConfig, data: Dataset, tmp_path: Path) -> RunState:
    """A run of two epochs, of which one is done; its images are the sample's first 200."""
    trainer = Trainer(config, data)
    trainer.position.epoch = 1
    trainer.save(tmp_path / "model.pt")
    return load_state(tmp_path / "model.pt")


def test_every_option_of_the_command_is_known() -> None:
    names = {parameter.name for parameter in train_command.params} - {"version", "help"}
    assert names == set(TrainOptions.__dataclass_fields__)


def test_without_options_a_new_run_is_the_default_preset(tmp_path: Path) -> None:
    assert new_config(options(tmp_path)) == PRESETS["default"]
    assert new_config(options(tmp_path, preset="best")) == PRESETS["best"]


def test_each_option_changes_its_setting_of_the_preset(tmp_path: Path) -> None:
    given: dict[str, Any] = {
        "epochs": 3,
        "validation": 7,
        "latent_dim": 5,
        "networks": "deep",
        "likelihood": "gaussian",
        "beta": 0.0,
        "optimizer": "adam",
        "learning_rate": 0.5,
        "batch_size": 9,
        "seed": 4,
        "amp": True,
        "compile": True,
    }
    phases = {"decoder_epochs", "encoder_epochs"}
    assert set(given) | phases == set(CONFIG_OPTIONS)
    assert new_config(options(tmp_path, **given)) == replace(PRESETS["default"], **given)
    given = {"preset": "exact", "epochs": 3, "decoder_epochs": 4, "encoder_epochs": 5}
    assert new_config(options(tmp_path, **given)) == replace(PRESETS["exact"], **given)


def test_an_option_against_the_exact_posterior_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(click.UsageError, match="^--latent-dim must be at most 2 for epochs on"):
        new_config(options(tmp_path, preset="exact", latent_dim=8))
    with pytest.raises(click.UsageError, match="^--networks 'cells' need encoder_epochs"):
        new_config(options(tmp_path, networks="cells"))


def test_a_run_with_phases_is_resumed_with_its_epochs_repeated(
    data: Dataset, tmp_path: Path
) -> None:
    config = replace(PRESETS["exact"], epochs=1, decoder_epochs=1, encoder_epochs=1)
    trainer = Trainer(config, data)
    trainer.position.epoch = 2
    trainer.save(tmp_path / "model.pt")
    state = load_state(tmp_path / "model.pt")
    assert resumed_config(options(tmp_path, resume=True, epochs=1), state) == config


@pytest.mark.parametrize(
    ("given", "rate"),
    [
        ({"optimizer": "adam"}, 3e-3),
        ({"optimizer": "rmsprop"}, 1e-3),
        ({"optimizer": "adam", "learning_rate": 0.5}, 0.5),
        ({"preset": "quick", "optimizer": "muon"}, 0.02),
        ({"preset": "book", "optimizer": "muon"}, 0.01),
    ],
    ids=str,
)
def test_another_optimizer_brings_its_usual_rate(
    given: dict[str, Any], rate: float, tmp_path: Path
) -> None:
    assert new_config(options(tmp_path, **given)).learning_rate == rate


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"batch_size": 0}, "--batch-size must be at least 1, not 0"),
        ({"beta": -1.0}, "--beta must be at least 0, not -1.0"),
        ({"learning_rate": 0.0}, "--learning-rate must be positive and finite, not 0.0"),
    ],
    ids=str,
)
def test_a_value_that_cannot_be_is_named_by_its_option(
    given: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(click.UsageError, match=f"^{message}$"):
        new_config(options(tmp_path, **given))


def test_a_resumed_run_keeps_its_settings(
    state: RunState, config: TrainConfig, tmp_path: Path
) -> None:
    assert resumed_config(options(tmp_path), state) == config
    same = options(tmp_path, preset="default", batch_size=32, seed=0, limit=200, image_size=28)
    assert resumed_config(same, state) == config


def test_what_contradicts_a_run_is_listed_as_options(state: RunState, tmp_path: Path) -> None:
    other = options(
        tmp_path, preset="best", batch_size=64, beta=1.0, limit=100, image_size=32, amp=True
    )
    with pytest.raises(VAEError) as caught:
        resumed_config(other, state)
    assert str(caught.value) == (
        f"{tmp_path}/model.pt: --resume keeps the run's own settings; it was begun with "
        "--batch-size 32, now 64, --amp False, now True, --preset default, now best, "
        "--image-size 28, now 32, --limit 200, now 100"
    )


def test_the_number_of_epochs_may_change_down_to_what_is_done(
    state: RunState, config: TrainConfig, tmp_path: Path
) -> None:
    assert resumed_config(options(tmp_path, epochs=9), state) == replace(config, epochs=9)
    assert resumed_config(options(tmp_path, epochs=1), state) == replace(config, epochs=1)
    state.position.epoch = 2
    with pytest.raises(VAEError, match="--epochs 1 is less than the 2 that are done"):
        resumed_config(options(tmp_path, epochs=1), state)


def test_a_resumed_run_has_its_own_images(state: RunState, data: Dataset, tmp_path: Path) -> None:
    loaded = load_resumed_dataset(options(tmp_path), state)
    assert loaded.fingerprint == data.fingerprint
    assert loaded.source == data.source


def test_a_run_of_an_older_version_asks_for_its_images(
    state: RunState, data: Dataset, tmp_path: Path
) -> None:
    older = replace(state, source=None)
    with pytest.raises(VAEError, match=r"model.pt: an older vae-edge wrote it, .*; add --data"):
        load_resumed_dataset(options(tmp_path), older)
    assert data.source is not None
    given = options(tmp_path, data=data.source.data, limit=200)
    assert load_resumed_dataset(given, older).fingerprint == data.fingerprint
    assert resumed_config(given, older) == state.config


def test_images_that_are_gone_are_named_with_what_to_do(
    config: TrainConfig, tmp_path: Path
) -> None:
    source = DataSource("my photos")
    with pytest.raises(VAEError) as caught:
        load_own_dataset(tmp_path / "model.pt", config, source, None, None)
    assert str(caught.value).startswith("my photos: no such folder")
    assert "was trained on --data 'my photos'; if that has another name now, say so" in str(
        caught.value
    )


def test_the_command_that_resumes_is_one_that_a_shell_understands() -> None:
    assert options(Path("runs/r64")).resume_command() == "vae-train --resume -o runs/r64"
    typed = options(Path("my runs"), device="cuda:1", threads=2).resume_command()
    assert shlex.split(typed) == [
        *("vae-train", "--resume", "-o", "my runs"),
        *("--device", "cuda:1", "--threads", "2"),
    ]
