"""What the ELBO lacks of log p(x), and why (Cremer, Li & Duvenaud 2018, "Inference suboptimality in
variational autoencoders").

log p(x) - ELBO is the inference gap. The best Gaussian divides it: above it lies the approximation
gap, which no Gaussian closes, below it the amortization gap, which a better encoder would. The best
Gaussian is the one that the runtime's refined inference finds, so the first gap is at most, and the
second at least, what is said here.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vae_runtime.arrays import Float32, Float64, UInt8
from vae_runtime.bundle import Likelihood
from vae_runtime.latent.gaussian import Gaussians
from vae_runtime.latent.posterior import PosteriorSearch
from vae_train.config import Sampling
from vae_train.evaluation import encode, float_batches
from vae_train.exact_posterior import decoder_table
from vae_train.model import VAE
from vae_train.objective import kl_loss, reconstruction_loss, sample
from vae_train.prior_cells import middle_points

# Of the table in which it is looked where the data lies.
DENSITY_CELLS = 96 * 96
# Where the data's density is below this share of the prior's there is next to none.
LOW_DENSITY = 0.1


@torch.no_grad()
def refined_elbo(
    model: VAE, sampling: Sampling, images: UInt8, *, samples: int, seed: int = 0
) -> Float64:
    """The ELBO of the best Gaussians that refined inference finds, `samples` draws each, (N,).

    For one or two latent dimensions and the Bernoulli likelihood.
    """
    z_mean, z_log_var = encode(model, sampling, images)
    encoded = Gaussians(z_mean, z_log_var)
    search = PosteriorSearch(_DecoderOnArrays(model), z_mean.shape[1], Likelihood())
    rng = torch.Generator().manual_seed(seed)
    elbos = []
    done = 0
    for batch in float_batches(model, images):
        part = slice(done, done + len(batch))
        q = search.refined(batch.cpu().numpy(), encoded.some(part))
        elbos.append(_elbo(model, batch, q, samples, rng))
        done += len(batch)
    return np.concatenate(elbos)


@torch.no_grad()
def low_density_share(model: VAE, images: UInt8) -> float:
    """The share of the prior's mass where the aggregated posterior of images has below a tenth of
    its density.

    Draws from there look like nothing that the model was trained on.
    """
    device = next(model.parameters()).device
    latent_dim = model.latent_dim
    table = decoder_table(model.decoder, middle_points(DENSITY_CELLS, latent_dim).to(device))
    density = torch.zeros(DENSITY_CELLS, dtype=torch.float64, device=device)
    for batch in float_batches(model, images):
        density += table.log_likelihoods(batch).softmax(1).double().sum(0)
    density *= DENSITY_CELLS / len(images)
    return float((density < LOW_DENSITY).double().mean())


def _elbo(model: VAE, images: Tensor, q: Gaussians, samples: int, rng: torch.Generator) -> Float64:
    z_mean = torch.from_numpy(q.z_mean).float().to(images.device)
    z_log_var = torch.from_numpy(q.z_log_var).float().to(images.device)
    total = torch.zeros(len(images))
    for _ in range(samples):
        epsilon = torch.randn(z_mean.shape, generator=rng).to(images.device)
        logits = model.decoder.logits(sample(z_mean, z_log_var, epsilon))
        total += reconstruction_loss(logits, images).cpu()
    loss = total.double() / samples + kl_loss(z_mean, z_log_var).cpu().double()
    elbo: Float64 = -loss.numpy()
    return elbo


class _DecoderOnArrays:
    """The torch decoder as the runtime calls one: latents (N, D) to images, arrays both."""

    def __init__(self, model: VAE) -> None:
        self.decoder = model.decoder
        self.device = next(model.parameters()).device

    def __call__(self, z: Float64) -> Float32:
        latents = torch.from_numpy(z).float().to(self.device)
        images: Float32 = self.decoder(latents).cpu().numpy()
        return images
