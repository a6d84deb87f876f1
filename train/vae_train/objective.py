"""The two losses of a VAE, in nats per image.

Kingma & Welling 2014, "Auto-Encoding Variational Bayes", equation 10 and appendix B.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from vae_runtime.bundle import LikelihoodName
from vae_train.config import Sampling
from vae_train.continuous_bernoulli import log_normalizer
from vae_train.model import VAE


def sampled_log_var(z_log_var: Tensor, sampling: Sampling) -> Tensor:
    """The log of the variance that is really sampled: the book draws with std exp(z_log_var)."""
    if sampling == "book":
        return 2 * z_log_var
    return z_log_var


def sample(z_mean: Tensor, log_var: Tensor, epsilon: Tensor) -> Tensor:
    """z_mean + exp(0.5 * log_var) * epsilon; `log_var` as `sampled_log_var` gives it."""
    return z_mean + (0.5 * log_var).exp() * epsilon


def reconstruction_loss(
    logits: Tensor,
    images: Tensor,
    likelihood: LikelihoodName = "bernoulli",
    log_var: Tensor | None = None,
) -> Tensor:
    """-log p(image | z) summed over pixels, (N,); images (N, C, H, W) in [0, 1].

    Binary cross-entropy, the same as a density, or with `log_var` (C,) the Gaussian around
    sigmoid(logits).
    """
    if likelihood == "continuous_bernoulli":
        return (log_normalizer(logits) - images * logits).flatten(1).sum(1)
    if log_var is None:
        pixels = binary_cross_entropy_with_logits(logits, images, reduction="none")
        return pixels.flatten(1).sum(1)
    log_var = log_var.view(1, -1, 1, 1)
    squared = (images - logits.sigmoid()).square() * (-log_var).exp()
    pixels = squared + log_var + math.log(2 * math.pi)
    return 0.5 * pixels.flatten(1).sum(1)


def kl_loss(z_mean: Tensor, log_var: Tensor) -> Tensor:
    """KL(N(z_mean, exp(log_var)) || N(0, 1)) summed over latent dimensions, (N,)."""
    return -0.5 * (1 + log_var - z_mean.square() - log_var.exp()).sum(1)


class Losses(nn.Module):
    """A VAE as the function that training minimizes.

    (images, epsilon, noise) -> reconstruction and KL, each (N,). `noise` (N, C, H, W), if there is
    any, is added to what the encoder sees of the images. With `sampling` "book" z has the standard
    deviation exp(z_log_var) while the KL term takes exp(z_log_var) for the variance, as the book
    prints it. `amp` computes both networks in bfloat16.
    """

    def __init__(self, vae: VAE, sampling: Sampling, amp: bool = False) -> None:
        super().__init__()
        self.vae = vae
        self.sampling = sampling
        self.amp = amp

    def forward(
        self, images: Tensor, epsilon: Tensor, noise: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        seen = images if noise is None else images + noise
        z_mean, z_log_var, logits = self.outputs(seen, epsilon)
        vae = self.vae
        reconstruction = reconstruction_loss(logits, images, vae.likelihood, vae.log_var)
        return reconstruction, kl_loss(z_mean, z_log_var)

    def outputs(self, images: Tensor, epsilon: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """z_mean and z_log_var (N, D), and the logits (N, C, H, W) of one draw's image."""
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.amp):
            z_mean, z_log_var = self.vae.encoder(images)
            z_mean = z_mean.float()
            z_log_var = z_log_var.float()
            z = sample(z_mean, sampled_log_var(z_log_var, self.sampling), epsilon)
            logits = self.vae.decoder.logits(z).float()
        return z_mean, z_log_var, logits
