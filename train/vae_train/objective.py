"""The two losses of a VAE, in nats, and the distribution they speak of.

Kingma & Welling 2014, "Auto-Encoding Variational Bayes", equation 10 and appendix B.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits


def sampled_log_var(z_log_var: Tensor, sampling: str) -> Tensor:
    """The log of the variance that is really sampled: the book draws with std exp(z_log_var)."""
    return 2 * z_log_var if sampling == "book" else z_log_var


def sample(z_mean: Tensor, log_var: Tensor, epsilon: Tensor) -> Tensor:
    """z_mean + exp(0.5 * log_var) * epsilon; `log_var` as `sampled_log_var` gives it."""
    return z_mean + (0.5 * log_var).exp() * epsilon


def reconstruction_loss(logits: Tensor, images: Tensor) -> Tensor:
    """Binary cross-entropy summed over pixels, (N,) nats per image; images (N, C, H, W) in [0, 1]."""
    return binary_cross_entropy_with_logits(logits, images, reduction="none").flatten(1).sum(1)


def kl_loss(z_mean: Tensor, log_var: Tensor) -> Tensor:
    """KL(N(z_mean, exp(log_var)) || N(0, 1)) summed over latent dimensions, (N,) nats per image."""
    return -0.5 * (1 + log_var - z_mean.square() - log_var.exp()).sum(1)
