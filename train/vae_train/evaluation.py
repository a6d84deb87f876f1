"""How good a VAE is: the true ELBO of q(z | x) as it is really sampled, in nats per image."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vae_train.distributed import World
from vae_train.model import VAE
from vae_train.objective import Losses, kl_loss, reconstruction_loss, sample, sampled_log_var

BATCH = 256


@dataclass(frozen=True)
class Evaluation:
    """Per image, (N,) nats: -log p(x | z) averaged over the samples, and KL(q(z | x) || p(z))."""

    reconstruction: NDArray[np.float64]
    kl: NDArray[np.float64]

    @property
    def elbo(self) -> NDArray[np.float64]:
        return -(self.reconstruction + self.kl)

    @property
    def mean(self) -> float:
        return float(self.elbo.mean())


@torch.no_grad()
def evaluate_elbo(
    model: VAE, sampling: str, images: NDArray[np.uint8], *, samples: int = 16, seed: int = 0
) -> Evaluation:
    """The ELBO of `images` (N, C, H, W) uint8, with `samples` draws of z for each; the seed fixes the draws."""
    noise = torch.Generator().manual_seed(seed)
    reconstruction, kl = [], []
    for batch in batches(model, images):
        z_mean, z_log_var = model.encoder(batch)
        log_var = sampled_log_var(z_log_var, sampling)
        total = torch.zeros(len(batch))
        for _ in range(samples):
            epsilon = torch.randn(z_mean.shape, generator=noise).to(z_mean.device)
            logits = model.decoder.logits(sample(z_mean, log_var, epsilon))
            total += reconstruction_loss(logits, batch, model.log_var).cpu()
        reconstruction.append(total.double().numpy() / samples)
        kl.append(kl_loss(z_mean, log_var).cpu().double().numpy())
    return Evaluation(np.concatenate(reconstruction), np.concatenate(kl))


@torch.no_grad()
def importance_weighted_bound(
    model: VAE, sampling: str, images: NDArray[np.uint8], *, samples: int, seed: int = 0
) -> NDArray[np.float64]:
    """log of the mean over `samples` draws of p(x, z) / q(z | x), (N,) nats: Burda et al. 2016, equation 8."""
    noise = torch.Generator().manual_seed(seed)
    bounds = []
    for image in (image[None] for batch in batches(model, images) for image in batch):
        z_mean, z_log_var = model.encoder(image)
        log_var = sampled_log_var(z_log_var, sampling)
        weights = []
        for start in range(0, samples, BATCH):
            epsilon = torch.randn((min(BATCH, samples - start), z_mean.shape[1]), generator=noise).to(z_mean.device)
            z = sample(z_mean, log_var, epsilon)
            log_p = -reconstruction_loss(model.decoder.logits(z), image.expand(len(z), -1, -1, -1), model.log_var)
            # log p(z) - log q(z | x); the constants of both cancel.
            weights.append(log_p + 0.5 * (epsilon.square() + log_var - z.square()).sum(1))
        bounds.append(torch.cat(weights).double().logsumexp(0).item() - math.log(samples))
    return np.array(bounds)


def active_units(model: VAE, sampling: str, images: NDArray[np.uint8]) -> int:
    """Latent dimensions whose z_mean varies over the images by more than 0.01 (Burda et al. 2016, section 5.2)."""
    return int((encode(model, sampling, images)[0].var(0) > 0.01).sum())


@torch.no_grad()
def evaluate_losses(
    losses: Losses, images: NDArray[np.uint8], world: World, *, seed: int = 0
) -> tuple[float, float, float]:
    """Means of the two losses as training defines them, and the true ELBO; one draw per image, processes take shares.

    For preset book the KL that its formula prints is not that of the distribution it samples; the ELBO has the latter.
    """
    noise = torch.Generator().manual_seed(seed)
    sums = [0.0, 0.0, 0.0]
    device = next(losses.parameters()).device
    for batch in batches(losses.vae, images):
        mine = world.share(len(batch))
        epsilon = torch.randn((len(batch), losses.vae.encoder.z_mean.out_features), generator=noise)[mine].to(device)
        z_mean, z_log_var, logits = losses.outputs(batch[mine], epsilon)
        expected = reconstruction_loss(logits, batch[mine], losses.vae.log_var)
        sampled_kl = kl_loss(z_mean, sampled_log_var(z_log_var, losses.sampling))
        for i, values in enumerate((expected, kl_loss(z_mean, z_log_var), -expected - sampled_kl)):
            sums[i] += values.double().sum().item()
    reconstruction, kl, elbo = (value / len(images) for value in world.sum(sums, device))
    return reconstruction, kl, elbo


@torch.no_grad()
def encode(model: VAE, sampling: str, images: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """z_mean and the log of the variance that is sampled, each (N, latent_dim), of uint8 (N, C, H, W)."""
    codes = [model.encoder(batch) for batch in batches(model, images)]
    z_mean, z_log_var = (torch.cat(part).cpu().double() for part in zip(*codes, strict=True))
    return z_mean.numpy(), sampled_log_var(z_log_var, sampling).numpy()


def batches(model: VAE, images: NDArray[np.uint8]) -> Iterator[Tensor]:
    """Float images in [0, 1] on the model's device, in steps of 256."""
    device = next(model.parameters()).device
    for start in range(0, len(images), BATCH):
        yield torch.from_numpy(images[start : start + BATCH].copy()).to(device).float() / 255
