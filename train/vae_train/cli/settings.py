"""The settings of a run: what the options say, else its checkpoint, else a preset.

Imports no torch.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vae_runtime.bundle import LikelihoodName
from vae_runtime.errors import VAEError
from vae_train.config import (
    DEFAULT_PRESET,
    PRESETS,
    USUAL_RATES,
    NetworksName,
    OptimizerName,
    TrainConfig,
)
from vae_train.data import Dataset, DataSource, hold_out_validation, load_dataset

if TYPE_CHECKING:
    from vae_train.checkpoint import RunState

MODEL_FILE = "model.pt"
DEFAULT_DATA = "mnist"
# The options that are settings of TrainConfig, which has the same names.
CONFIG_OPTIONS = (
    "epochs",
    "decoder_epochs",
    "encoder_epochs",
    "validation",
    "latent_dim",
    "networks",
    "likelihood",
    "beta",
    "optimizer",
    "learning_rate",
    "batch_size",
    "seed",
    "amp",
    "compile",
)


@dataclass(frozen=True)
class TrainOptions:
    """The options of `vae-train`; None stands for one that isn't given."""

    output: Path
    resume: bool = False
    device: str = "auto"
    threads: int | None = None
    data: str | None = None
    limit: int | None = None
    image_size: int | None = None
    preset: str | None = None
    epochs: int | None = None
    decoder_epochs: int | None = None
    encoder_epochs: int | None = None
    validation: int | None = None
    latent_dim: int | None = None
    networks: NetworksName | None = None
    likelihood: LikelihoodName | None = None
    beta: float | None = None
    optimizer: OptimizerName | None = None
    learning_rate: float | None = None
    batch_size: int | None = None
    seed: int | None = None
    amp: bool | None = None
    compile: bool | None = None

    @property
    def model_path(self) -> Path:
        return self.output / MODEL_FILE

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width."""
        if self.image_size is None:
            return None
        return self.image_size, self.image_size

    def given_settings(self) -> dict[str, Any]:
        """The settings of TrainConfig that were given."""
        given = {}
        for name in CONFIG_OPTIONS:
            value = getattr(self, name)
            if value is not None:
                given[name] = value
        return given

    def resume_command(self) -> str:
        """What to type to continue this run."""
        command = ["vae-train", "--resume", "-o", str(self.output)]
        if self.device != "auto":
            command += ["--device", self.device]
        if self.threads is not None:
            command += ["--threads", str(self.threads)]
        return shlex.join(command)


def new_config(options: TrainOptions) -> TrainConfig:
    """The configuration of a new run, but for what its images decide.

    Raises click.UsageError for a value that TrainConfig refuses.
    """
    preset = PRESETS[options.preset or DEFAULT_PRESET]
    given = options.given_settings()
    if options.optimizer not in (None, preset.optimizer):
        # The preset's rate is its own optimizer's.
        given.setdefault("learning_rate", USUAL_RATES[given["optimizer"]])
    try:
        return replace(preset, **given)
    except ValueError as error:
        setting, _, reason = str(error).partition(" ")
        raise click.UsageError(f"{option_name(setting)} {reason}") from None


def resumed_config(options: TrainOptions, state: RunState) -> TrainConfig:
    """The configuration of the run in a checkpoint, with another number of epochs if one is given.

    Raises VAEError with what was given and contradicts the checkpoint.
    """
    contradictions = _contradictions(options, state)
    if contradictions:
        raise VAEError(
            f"{options.model_path}: --resume keeps the run's own settings; it was begun with "
            f"{', '.join(contradictions)}"
        )
    if options.epochs in (None, state.config.epochs):
        return state.config
    done = state.position.epoch
    if options.epochs < done:
        raise VAEError(
            f"{options.model_path}: --epochs {options.epochs} is less than the {done} that are done"
        )
    return replace(state.config, epochs=options.epochs)


def _contradictions(options: TrainOptions, state: RunState) -> list[str]:
    """Each option that is given and differs from the run, as `--name saved, now given`.

    The number of epochs may differ; whether --data does, its images say.
    """
    height, width = state.config.image_shape[1:]
    saved: dict[str, Any] = state.config.to_dict()
    saved["image_size"] = height if height == width else f"{height}×{width}"
    given = options.given_settings()
    given.pop("epochs", None)
    names = ["preset", "image_size"]
    if state.source is not None:
        saved["limit"] = state.source.limit
        names.append("limit")
    for name in names:
        value = getattr(options, name)
        if value is not None:
            given[name] = value
    contradictions = []
    for name, value in given.items():
        if value != saved[name]:
            before = "none" if saved[name] is None else saved[name]
            contradictions.append(f"{option_name(name)} {before}, now {value}")
    return contradictions


def load_new_dataset(options: TrainOptions) -> Dataset:
    """The images of a new run."""
    data = load_dataset(options.data or DEFAULT_DATA, options.limit, size=options.size)
    return _with_validation(data, options.validation)


def load_resumed_dataset(options: TrainOptions, state: RunState) -> Dataset:
    """The images of the run in a checkpoint."""
    limit = options.limit if state.source is None else state.source.limit
    data = load_own_dataset(options.model_path, state.config, state.source, options.data, limit)
    return _with_validation(data, state.config.validation)


def load_own_dataset(
    path: Path,
    config: TrainConfig,
    source: DataSource | None,
    given: str | None,
    limit: int | None,
) -> Dataset:
    """The images that the checkpoint `path` was trained on, or `given`, in the model's shape.

    Raises VAEError when they are no longer there, or when the checkpoint doesn't say what they are.
    """
    channels, height, width = config.image_shape
    size = (height, width)
    if given is not None:
        return load_dataset(given, limit, size=size, channels=channels)
    if source is None:
        raise VAEError(
            f"{path}: an older vae-edge wrote it, without what it was trained on; add --data"
        )
    try:
        return load_dataset(source.data, limit, size=size, channels=channels)
    except VAEError as error:
        raise VAEError(
            f"{error} ({path} was trained on --data {shlex.quote(source.data)}; "
            "if that has another name now, say so with --data)"
        ) from None


def option_name(setting: str) -> str:
    """The option of a setting: --batch-size of batch_size."""
    return "--" + setting.replace("_", "-")


def _with_validation(data: Dataset, count: int | None) -> Dataset:
    return hold_out_validation(data, count) if count else data
