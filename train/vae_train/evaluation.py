"""How good a VAE is: the true ELBO of q(z | x) as it is really sampled, in nats per image."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vae_runtime.arrays import Float64, UInt8
from vae_train.config import Sampling
from vae_train.distributed import ProcessGroup
from vae_train.model import VAE
from vae_train.objective import Losses, kl_loss, reconstruction_loss, sample, sampled_log_var

# Images, or draws of one image, that are computed at once.
EVALUATION_BATCH = 256
# Burda et al. 2016, section 5.2.
MIN_ACTIVE_VARIANCE = 0.01


@dataclass(frozen=True)
class Evaluation:
    """Per image, (N,) nats: -log p(x | z) averaged over the samples, and KL(q(z | x) || p(z))."""

    reconstruction: Float64
    kl: Float64

    @property
    def elbo(self) -> Float64:
        return -(self.reconstruction + self.kl)

    @property
    def mean_elbo(self) -> float:
        return float(self.elbo.mean())


class MeanLosses(NamedTuple):
    """Means over images, in nats: the two losses as training defines them, and the true ELBO."""

    reconstruction: float
    kl: float
    elbo: float


@torch.no_grad()
def evaluate_elbo(
    model: VAE, sampling: Sampling, images: UInt8, *, samples: int = 16, seed: int = 0
) -> Evaluation:
    """The ELBO of `images` (N, C, H, W), with `samples` draws of z for each.

    The seed fixes the draws.
    """
    rng = torch.Generator().manual_seed(seed)
    reconstruction = []
    kl = []
    for batch in float_batches(model, images):
        z_mean, z_log_var = model.encoder(batch)
        log_var = sampled_log_var(z_log_var, sampling)
        total = torch.zeros(len(batch))
        for _ in range(samples):
            epsilon = torch.randn(z_mean.shape, generator=rng).to(z_mean.device)
            logits = model.decoder.logits(sample(z_mean, log_var, epsilon))
            loss = reconstruction_loss(logits, batch, model.likelihood, model.log_var)
            total += loss.cpu()
        reconstruction.append(total.double().numpy() / samples)
        kl.append(kl_loss(z_mean, log_var).cpu().double().numpy())
    return Evaluation(np.concatenate(reconstruction), np.concatenate(kl))


@torch.no_grad()
def importance_weighted_bound(
    model: VAE, sampling: Sampling, images: UInt8, *, samples: int, seed: int = 0
) -> Float64:
    """log of the mean over `samples` draws of p(x, z) / q(z | x), (N,) nats.

    Burda et al. 2016, equation 8.
    """
    rng = torch.Generator().manual_seed(seed)
    bounds = []
    for batch in float_batches(model, images):
        for image in batch:
            log_weights = _log_weights(model, sampling, image, samples, rng)
            bounds.append(log_weights.double().logsumexp(0).item() - math.log(samples))
    return np.array(bounds)


def _log_weights(
    model: VAE, sampling: Sampling, image: Tensor, samples: int, rng: torch.Generator
) -> Tensor:
    """log p(x, z) / q(z | x) of `samples` draws for one image (C, H, W): (samples,)."""
    z_mean, z_log_var = model.encoder(image[None])
    log_var = sampled_log_var(z_log_var, sampling)
    log_weights = []
    for start in range(0, samples, EVALUATION_BATCH):
        count = min(EVALUATION_BATCH, samples - start)
        epsilon = torch.randn((count, z_mean.shape[1]), generator=rng).to(z_mean.device)
        z = sample(z_mean, log_var, epsilon)
        logits = model.decoder.logits(z)
        repeated = image.expand(count, -1, -1, -1)
        log_p = -reconstruction_loss(logits, repeated, model.likelihood, model.log_var)
        # log p(z) - log q(z | x); the constants of both cancel.
        log_ratio = 0.5 * (epsilon.square() + log_var - z.square()).sum(1)
        log_weights.append(log_p + log_ratio)
    return torch.cat(log_weights)


def active_units(model: VAE, sampling: Sampling, images: UInt8) -> int:
    """The number of latent dimensions whose z_mean varies over the images by more than 0.01.

    Burda et al. 2016, section 5.2.
    """
    z_mean, _ = encode(model, sampling, images)
    return int((z_mean.var(0) > MIN_ACTIVE_VARIANCE).sum())


@torch.no_grad()
def evaluate_losses(
    losses: Losses, images: UInt8, processes: ProcessGroup, *, seed: int = 0
) -> MeanLosses:
    """The mean losses of `images` (N, C, H, W), one draw per image; every process takes its share.

    For preset book the KL that its formula prints is not that of the distribution it samples; the
    ELBO has the latter.
    """
    rng = torch.Generator().manual_seed(seed)
    model = losses.vae
    device = next(model.parameters()).device
    latent_dim = model.latent_dim
    sums = [0.0, 0.0, 0.0]
    for batch in float_batches(model, images):
        share = processes.share(len(batch))
        epsilon = torch.randn((len(batch), latent_dim), generator=rng)[share].to(device)
        z_mean, z_log_var, logits = losses.outputs(batch[share], epsilon)
        reconstruction = reconstruction_loss(logits, batch[share], model.likelihood, model.log_var)
        kl = kl_loss(z_mean, z_log_var)
        sampled_kl = kl_loss(z_mean, sampled_log_var(z_log_var, losses.sampling))
        for i, values in enumerate((reconstruction, kl, -reconstruction - sampled_kl)):
            sums[i] += values.double().sum().item()
    means = [total / len(images) for total in processes.sum(sums, device)]
    return MeanLosses(*means)


@torch.no_grad()
def encode(model: VAE, sampling: Sampling, images: UInt8) -> tuple[Float64, Float64]:
    """z_mean and the log of the variance that is sampled, each (N, latent_dim), of (N, C, H, W)."""
    means = []
    log_vars = []
    for batch in float_batches(model, images):
        z_mean, z_log_var = model.encoder(batch)
        means.append(z_mean)
        log_vars.append(z_log_var)
    z_mean = torch.cat(means).cpu().double()
    z_log_var = torch.cat(log_vars).cpu().double()
    return z_mean.numpy(), sampled_log_var(z_log_var, sampling).numpy()


def float_batches(model: VAE, images: UInt8) -> Iterator[Tensor]:
    """Images (n, C, H, W) float32 in [0, 1] on the model's device, 256 at once."""
    device = next(model.parameters()).device
    for start in range(0, len(images), EVALUATION_BATCH):
        # A copy, for torch warns of arrays that are mapped read-only.
        chunk = images[start : start + EVALUATION_BATCH].copy()
        yield torch.from_numpy(chunk).to(device).float() / 255
