"""Which p(x | z) somebody's VAE was trained with: given, told by its library, or measured."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from vae_export.torch_modules import module_name
from vae_runtime.arrays import Float32
from vae_runtime.bundle import Likelihood, LikelihoodName
from vae_train.continuous_bernoulli import mean_of_probabilities

# Images that are reconstructed at once.
CHUNK = 64
# A channel that is reconstructed perfectly has no variance to take the logarithm of.
MIN_VARIANCE = 1e-6


def check_likelihood(likelihood: Likelihood, channels: int) -> Likelihood:
    """Raise ValueError where a gaussian likelihood hasn't one log variance per channel."""
    if likelihood.name == "gaussian" and len(likelihood.log_var) != channels:
        raise ValueError(
            "a gaussian likelihood needs one log variance per channel: "
            "vae_runtime.bundle.Likelihood('gaussian', (…,)), or images= to measure it on"
        )
    return likelihood


class ContinuousBernoulliMean(nn.Module):
    """A decoder that gives the mean of continuous Bernoulli pixels, as bundles hold it.

    Such networks are trained to give the parameter λ, from which the mean is far off: 0.9 is the
    mean for λ = 0.99995.
    """

    def __init__(self, decoder: nn.Module) -> None:
        super().__init__()
        self.decoder = decoder
        self.exported_as = module_name(decoder)

    def forward(self, z: Tensor) -> Tensor:
        return mean_of_probabilities(self.decoder(z))


def giving_means(decoder: nn.Module, likelihood: Likelihood) -> nn.Module:
    """A decoder whose images are the means of p(x | z), as bundles hold them."""
    if likelihood.name == "continuous_bernoulli":
        return ContinuousBernoulliMean(decoder)
    return decoder


def find_likelihood(
    asked: LikelihoodName | Likelihood | None,
    told: str | None,
    encoder: nn.Module,
    decoder: nn.Module,
    images: Float32 | None,
    channels: int,
) -> tuple[Likelihood, str]:
    """The likelihood, and a line that says where it comes from.

    `asked` is what the caller says, `told` what the model's library or its range of images tells.
    A gaussian one by name gets the variances that make the reconstructions of `images`
    (N, C, H, W) likeliest. Raises ValueError where that was asked for without images.
    """
    if isinstance(asked, Likelihood):
        return check_likelihood(asked, channels), f"likelihood: {asked.name}, as given"
    name = asked or told
    if name == "gaussian" and images is not None:
        log_var = measured_log_var(encoder, decoder, images)
        shown = ", ".join(f"{value:.2f}" for value in log_var)
        return (
            Likelihood("gaussian", log_var),
            f"likelihood: gaussian, its log variance per channel measured: {shown}",
        )
    if asked == "gaussian":
        return check_likelihood(Likelihood("gaussian"), channels), ""
    if name == "gaussian":
        return (
            Likelihood("gaussian", (0.0,) * channels),
            "likelihood: gaussian of variance 1 (images would tell it)",
        )
    if asked == "continuous_bernoulli":
        line = f"likelihood: {asked}, as given; the bundle's images are its mean"
        return Likelihood(asked), line
    if asked is not None:
        return Likelihood(asked), f"likelihood: {asked}, as given"
    reason = "as its library says" if told else "nothing in the modules tells it"
    return Likelihood("bernoulli"), f"likelihood: bernoulli ({reason})"


@torch.no_grad()
def measured_log_var(encoder: nn.Module, decoder: nn.Module, images: Float32) -> tuple[float, ...]:
    """The log of each channel's mean squared error of reconstruction, (C,).

    That variance makes images likeliest around their reconstructions (Rybkin et al. 2021, "Simple
    and effective VAE training with calibrated decoders", equation 6).
    """
    total = np.zeros(images.shape[1])
    for start in range(0, len(images), CHUNK):
        chunk = torch.from_numpy(images[start : start + CHUNK])
        z_mean, _ = encoder(chunk)
        error = (decoder(z_mean) - chunk).double().square()
        total += error.mean((2, 3)).sum(0).numpy()
    variances = np.maximum(total / len(images), MIN_VARIANCE)
    return tuple(float(value) for value in np.log(variances))
