"""`model.pt`: plain tensors, numbers, strings, lists and dicts, read with weights_only=True.

The same command writes the same bytes: no wall-clock values, no absolute paths (torch.save puts the
name of the file it writes to into the archive, so it writes to memory). `RunState` says what is in
the file; nothing else knows its keys.
"""

from __future__ import annotations

import io
import pickle
import sys
import warnings
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vae_runtime.arrays import Int64, UInt8
from vae_runtime.bundle import Likelihood
from vae_runtime.door import is_file, read_file
from vae_runtime.errors import VAEError
from vae_runtime.formats.files import atomic_file
from vae_train.checkpoint_schema import require_contents
from vae_train.config import TrainConfig
from vae_train.data import DataSource
from vae_train.density import Mixture
from vae_train.model import VAE, build_vae

FORMAT = "vae-edge checkpoint 1"
MAX_CHECKPOINT_BYTES = 4 << 30
# What torch.load raises for files that are no checkpoint of any kind.
UNREADABLE = (
    OSError,
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    pickle.PickleError,
)
# What contents raise that aren't as RunState has them, or don't fit the networks.
DAMAGED_CONTENTS = (
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    RuntimeError,
    OverflowError,
)


@dataclass
class Position:
    """Where a run stands: epochs done, and the steps done of the next one.

    `sums` are the losses of those steps, reconstruction and KL, in nats.
    """

    epoch: int = 0
    step: int = 0
    sums: list[float] = field(default_factory=lambda: [0.0, 0.0])


@dataclass(frozen=True)
class RunState:
    """Everything in a `model.pt`.

    `fingerprint` is the data set's, `source` where it came from, None in files of older versions.
    `rng` is the state of the run's random generator, `history` has one row per epoch, `table` is
    the state of the phase's RenewedTable, None where it has none. The rest is for an exporter:
    `density`, empty in files of older versions, `label_statistics` and `label_names`, `images` with
    the keys train_images, train_labels, heldout_images and heldout_labels, and `summary`, what a
    bundle quotes.
    """

    config: TrainConfig
    fingerprint: str
    source: DataSource | None
    weights: dict[str, Tensor]
    optimizer: Any
    rng: Tensor
    position: Position
    history: list[dict[str, float]]
    table: dict[str, Any] | None
    density: Mixture
    label_statistics: dict[str, Any]
    label_names: tuple[str, ...]
    images: dict[str, Tensor]
    summary: dict[str, Any]

    def to_contents(self) -> dict[str, Any]:
        """Plain values, in the order in which they stand in the file."""
        return {
            "format": FORMAT,
            "config": self.config.to_dict(),
            "data": self.fingerprint,
            "source": None if self.source is None else asdict(self.source),
            "weights": self.weights,
            "optimizer": self.optimizer,
            "noise": self.rng,
            "position": asdict(self.position),
            "history": self.history,
            "table": self.table,
            "density": self.density,
            "label_statistics": self.label_statistics,
            "label_names": list(self.label_names),
            "images": self.images,
            "training": self.summary,
        }

    @classmethod
    def from_contents(cls, contents: dict[str, Any]) -> RunState:
        """The inverse of `to_contents`. Raises one of DAMAGED_CONTENTS for anything else."""
        require_contents(contents)
        return cls(
            config=TrainConfig.from_dict(contents["config"]),
            fingerprint=contents["data"],
            source=_source(contents.get("source")),
            weights=contents["weights"],
            optimizer=contents["optimizer"],
            rng=contents["noise"],
            position=Position(**contents["position"]),
            history=contents["history"],
            table=contents.get("table"),
            density=contents.get("density", []),
            label_statistics=contents["label_statistics"],
            label_names=tuple(contents["label_names"]),
            images=contents["images"],
            summary=contents["training"],
        )


@dataclass(frozen=True)
class Checkpoint:
    """What an exporter or an evaluation needs of a `model.pt`.

    Images are (N, C, H, W), labels (N,). `training` holds what a bundle quotes: preset, epochs,
    test_elbo in nats per image (validation_elbo where training images were held out instead of the
    test set).
    """

    model: VAE
    config: TrainConfig
    source: DataSource | None
    likelihood: Likelihood
    density: Mixture
    label_statistics: dict[str, Any]
    label_names: tuple[str, ...]
    train_images: UInt8
    train_labels: Int64
    heldout_images: UInt8
    heldout_labels: Int64
    training: dict[str, Any]


def save_contents(path: Path, contents: dict[str, Any]) -> None:
    """Write a checkpoint whole or not at all.

    Raises VAEError when the disk is full or read-only.
    """
    buffer = io.BytesIO()
    torch.save(_canonical(contents), buffer)
    with atomic_file(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def load_contents(path: str | Path) -> dict[str, Any]:
    """Read everything in a checkpoint. Raises VAEError when it is missing, truncated or foreign."""
    path = Path(path)
    if not is_file(path):
        raise VAEError(f"{path}: no such checkpoint")
    try:
        contents = _unpickled(read_file(path, MAX_CHECKPOINT_BYTES))
    except UNREADABLE:
        raise VAEError(f"{path}: not a checkpoint of vae-train, or a damaged one") from None
    if not isinstance(contents, dict) or contents.get("format") != FORMAT:
        raise VAEError(f"{path}: not a checkpoint of vae-train ({FORMAT!r} expected)")
    return contents


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read `model.pt` and rebuild its networks in evaluation mode.

    Raises VAEError when the file is missing, truncated, foreign, or its weights don't fit its
    configuration.
    """
    state = load_state(path)
    try:
        return _checkpoint(state)
    except DAMAGED_CONTENTS as error:
        raise _damaged(path, error) from None


def load_state(path: str | Path) -> RunState:
    """Read the whole state of a run.

    Raises VAEError when the file is missing, truncated, foreign or of another version.
    """
    contents = load_contents(path)
    try:
        return RunState.from_contents(contents)
    except DAMAGED_CONTENTS as error:
        raise _damaged(path, error) from None


def _damaged(path: str | Path, error: Exception) -> VAEError:
    reason = first_line(error)
    return VAEError(f"{path}: a damaged checkpoint, or one of another version: {reason}")


def first_line(error: Exception) -> str:
    """What an error says, without the lists that torch adds below."""
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__


def _source(stored: dict[str, Any] | None) -> DataSource | None:
    """Where a run's images came from; what a newer version may add is left out."""
    if stored is None:
        return None
    return DataSource(stored["data"], stored["limit"])


def _checkpoint(state: RunState) -> Checkpoint:
    config = state.config
    model = build_vae(
        config.image_shape,
        config.latent_dim,
        seed=0,
        networks=config.networks,
        likelihood=config.likelihood,
    )
    model.load_state_dict(state.weights)
    log_var = () if model.log_var is None else tuple(model.log_var.tolist())
    return Checkpoint(
        model=model.eval(),
        config=config,
        source=state.source,
        likelihood=Likelihood(config.likelihood, log_var),
        density=state.density,
        label_statistics=state.label_statistics,
        label_names=state.label_names,
        train_images=state.images["train_images"].numpy(),
        train_labels=state.images["train_labels"].numpy(),
        heldout_images=state.images["heldout_images"].numpy(),
        heldout_labels=state.images["heldout_labels"].numpy(),
        training=state.summary,
    )


def _unpickled(model_bytes: bytes) -> Any:
    with warnings.catch_warnings():
        # torch warns of pickles that it didn't write; the caller's error says it better.
        warnings.simplefilter("ignore")
        return torch.load(io.BytesIO(model_bytes), map_location="cpu", weights_only=True)


def _canonical(value: Any) -> Any:
    """The same value with equal strings made one object.

    pickle writes the second mention of an object differently from an equal one.
    """
    if isinstance(value, dict):
        return {_canonical(key): _canonical(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    if isinstance(value, str):
        return sys.intern(value)
    return value
