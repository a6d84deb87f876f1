"""What a training run is made of: one frozen configuration, and the presets that fill it in."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from vae_runtime.errors import VAEError


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides the bytes of a checkpoint, besides the data and the machine.

    `sampling` names the standard deviation of q(z | x): "standard" is exp(0.5 * z_log_var), "book" is
    exp(z_log_var), the formula printed in "Deep Learning with R", section 8.4.
    `beta` weighs the KL term, both terms in nats per image; None stands for the book's 0.784 / latent_dim.
    `encoder_noise` is the standard deviation of Gaussian noise on what the encoder sees of an image in training, which
    keeps it from learning the training images by heart (Shu et al. 2018, "Amortized Inference Regularization"). The
    training losses of the history are measured with it.
    """

    preset: str
    image_shape: tuple[int, int, int] = (1, 28, 28)
    latent_dim: int = 2
    networks: str = "reference"  # or "deep", see vae_train.model
    likelihood: str = "bernoulli"  # or "gaussian", with a learned variance per channel
    sampling: str = "standard"
    beta: float | None = 1.0
    optimizer: str = "muon"  # or "adam", both with a one-cycle schedule; "rmsprop" as Keras writes it, constant rate
    learning_rate: float = 0.01  # the peak, for one-cycle
    warmup: float = 0.1  # the share of all steps in which one-cycle rises
    encoder_noise: float = 0.0
    shift: int = 0  # augmentation: each image moved by up to so many pixels along either axis
    batch_size: int = 64
    epochs: int = 8
    seed: int = 0
    validation: int = 0  # so many training images are held out and stand in for the test set
    fit: str = "contain"  # how images of another size were brought to image_shape, see vae_runtime.images
    amp: bool = False  # bfloat16 where torch's autocast allows it
    compile: bool = False  # torch.compile

    @property
    def kl_weight(self) -> float:
        """β of BCE_sum + β · KL_sum; the book's per-pixel and per-dimension means amount to 0.784 / D."""
        pixels = self.image_shape[0] * self.image_shape[1] * self.image_shape[2]
        return self.beta if self.beta is not None else pixels * 5e-4 * 2 / self.latent_dim

    def to_dict(self) -> dict[str, Any]:
        """Plain values only, as a checkpoint stores them."""
        return asdict(self) | {"image_shape": list(self.image_shape)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainConfig:
        """The inverse of `to_dict`; keys this version doesn't know are an error, for they change the run."""
        unknown = set(values) - {field.name for field in fields(cls)}
        if unknown:
            raise VAEError(f"unknown training settings {sorted(unknown)}: a newer vae-edge wrote them")
        return cls(**values | {"image_shape": tuple(values["image_shape"])})


PRESETS = {
    "default": TrainConfig("default"),
    "quick": TrainConfig("quick", networks="deep", learning_rate=0.02, epochs=2),
    "best": TrainConfig("best", networks="deep", encoder_noise=0.2, epochs=40),
    "book": TrainConfig(
        "book", sampling="book", beta=None, optimizer="rmsprop", learning_rate=1e-3, batch_size=16, epochs=10
    ),
}
