"""What a training run is made of: one frozen configuration, and the presets that fill it in.

A name of a fixed set is a Literal here, with its implementation in a registry elsewhere:
`vae_train.model.NETWORKS` and `vae_train.optim.OPTIMIZERS`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from vae_runtime.arrays import ImageShape
from vae_runtime.bundle import FITS, LIKELIHOODS, Fit, LikelihoodName
from vae_runtime.errors import VAEError

NetworksName = Literal["reference", "deep", "cells"]
Sampling = Literal["standard", "book"]
OptimizerName = Literal["muon", "adam", "rmsprop"]
NETWORKS_NAMES: tuple[NetworksName, ...] = get_args(NetworksName)
SAMPLINGS: tuple[Sampling, ...] = get_args(Sampling)
OPTIMIZER_NAMES: tuple[OptimizerName, ...] = get_args(OptimizerName)

# The book weighs the KL term, a mean over latent dimensions, with 5e-4 against a mean over pixels.
BOOK_KL_WEIGHT = 5e-4
# The exact posterior is computed on a grid, which more dimensions would make too large.
MAX_EXACT_LATENT_DIM = 2
# The learning rate of an optimizer that is chosen in the place of a preset's own.
USUAL_RATES: dict[OptimizerName, float] = {"muon": 0.01, "adam": 3e-3, "rmsprop": 1e-3}


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides the bytes of a checkpoint, besides the data and the machine.

    `sampling` names the standard deviation of q(z | x): "standard" is exp(0.5 * z_log_var), "book"
    is exp(z_log_var), the formula printed in "Deep Learning with R", section 8.4.
    `beta` weighs the KL term, both terms in nats per image; None stands for the book's
    0.784 / latent_dim at 28×28.
    `encoder_noise` is the standard deviation of Gaussian noise on what the encoder sees of an image
    in training, which keeps it from learning the training images by heart (Shu et al. 2018,
    "Amortized Inference Regularization"). The training losses of the history are measured with it.

    Raises ValueError for a name that doesn't exist or a number out of range.
    """

    preset: str
    image_shape: ImageShape = (1, 28, 28)
    latent_dim: int = 2
    networks: NetworksName = "reference"
    # "gaussian" has a learned variance per channel.
    likelihood: LikelihoodName = "bernoulli"
    sampling: Sampling = "standard"
    beta: float | None = 1.0
    # "muon" and "adam" run with a one-cycle schedule, "rmsprop" as Keras writes it, constant rate.
    optimizer: OptimizerName = "muon"
    # The peak, for one-cycle.
    learning_rate: float = 0.01
    # The share of all steps in which one-cycle rises.
    warmup: float = 0.1
    encoder_noise: float = 0.0
    # Augmentation: each image is moved by at most this number of pixels along either axis.
    shift: int = 0
    batch_size: int = 64
    # Of the joint phase, see vae_train.phases, and of those that may follow it.
    epochs: int = 8
    decoder_epochs: int = 0
    encoder_epochs: int = 0
    seed: int = 0
    # The number of training images that are held out and stand in for the test set.
    validation: int = 0
    # How images of another size were brought to image_shape, see vae_runtime.formats.preprocess.
    fit: Fit = "contain"
    # bfloat16 where torch's autocast allows it; like `compile`, in the joint phase only.
    amp: bool = False
    # torch.compile.
    compile: bool = False

    def __post_init__(self) -> None:
        self._require_known("networks", NETWORKS_NAMES)
        self._require_known("likelihood", LIKELIHOODS)
        self._require_known("sampling", SAMPLINGS)
        self._require_known("optimizer", OPTIMIZER_NAMES)
        self._require_known("fit", FITS)
        for name in ("latent_dim", "batch_size", "epochs"):
            self._require_least(name, 1)
        for name in ("warmup", "encoder_noise", "shift", "seed", "validation"):
            self._require_least(name, 0)
        for name in ("decoder_epochs", "encoder_epochs"):
            self._require_least(name, 0)
        if self.beta is not None:
            self._require_least("beta", 0)
        for name in ("beta", "encoder_noise"):
            self._require_not_infinite(name)
        if self.warmup > 1:
            raise ValueError(f"warmup must be at most 1, not {self.warmup!r}")
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(
                f"learning_rate must be positive and finite, not {self.learning_rate!r}"
            )
        if len(self.image_shape) != 3 or min(self.image_shape) < 1:
            raise ValueError(
                f"image_shape must be three positive numbers, not {self.image_shape!r}"
            )
        self._require_exact_posterior()

    @property
    def total_epochs(self) -> int:
        """Of all phases."""
        return self.epochs + self.decoder_epochs + self.encoder_epochs

    @property
    def has_exact_phases(self) -> bool:
        """Whether something is learned from the exact posterior after the joint phase."""
        return self.total_epochs > self.epochs

    @property
    def kl_weight(self) -> float:
        """β of BCE_sum + β · KL_sum.

        The book's per-pixel and per-dimension means amount to 0.784 / D at 28×28.
        """
        if self.beta is not None:
            return self.beta
        channels, height, width = self.image_shape
        pixels = channels * height * width
        return pixels * BOOK_KL_WEIGHT * 2 / self.latent_dim

    def to_dict(self) -> dict[str, Any]:
        """Plain values only, as a checkpoint stores them."""
        values = asdict(self)
        values["image_shape"] = list(self.image_shape)
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainConfig:
        """The inverse of `to_dict`; settings that are missing have their default.

        Raises VAEError for settings that this version doesn't know, for they change the run.
        """
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise VAEError(f"unknown training settings {unknown}: a newer vae-edge wrote them")
        return cls(**values | {"image_shape": tuple(values["image_shape"])})

    def _require_known(self, name: str, choices: Sequence[str]) -> None:
        value = getattr(self, name)
        if value not in choices:
            raise ValueError(f"{name} {value!r} is not one of {', '.join(choices)}")

    def _require_least(self, name: str, least: int) -> None:
        value = getattr(self, name)
        # Written so that NaN is refused too.
        if not value >= least:
            raise ValueError(f"{name} must be at least {least}, not {value!r}")

    def _require_exact_posterior(self) -> None:
        """The phases after the joint one need the exact posterior, the encoder's the right head."""
        if self.networks == "cells" and not self.encoder_epochs:
            raise ValueError("networks 'cells' need encoder_epochs, in which they learn the cells")
        if self.encoder_epochs and self.networks != "cells":
            raise ValueError(f"networks must be 'cells' for encoder_epochs, not {self.networks!r}")
        if not self.has_exact_phases:
            return
        reason = "for epochs on the exact posterior"
        if self.latent_dim > MAX_EXACT_LATENT_DIM:
            raise ValueError(
                f"latent_dim must be at most {MAX_EXACT_LATENT_DIM} {reason}, not {self.latent_dim}"
            )
        if self.likelihood != "bernoulli":
            raise ValueError(f"likelihood must be 'bernoulli' {reason}, not {self.likelihood!r}")
        if self.sampling != "standard":
            raise ValueError(f"sampling must be 'standard' {reason}, not {self.sampling!r}")

    def _require_not_infinite(self, name: str) -> None:
        value = getattr(self, name)
        if value == math.inf:
            raise ValueError(f"{name} must be finite, not {value!r}")


DEFAULT_PRESET = "default"
PRESETS = {
    "default": TrainConfig("default"),
    "quick": TrainConfig("quick", networks="deep", learning_rate=0.02, epochs=2),
    "best": TrainConfig("best", networks="deep", encoder_noise=0.2, epochs=40),
    "exact": TrainConfig(
        "exact",
        networks="cells",
        learning_rate=0.02,
        encoder_noise=0.2,
        epochs=2,
        decoder_epochs=6,
        encoder_epochs=5,
    ),
    "book": TrainConfig(
        "book",
        sampling="book",
        beta=None,
        optimizer="rmsprop",
        learning_rate=1e-3,
        batch_size=16,
        epochs=10,
    ),
}
