"""The posterior p(z | x) of one or two latents on a grid, and log p(x) by quadrature.

u = Φ(z) is uniform under the prior, so with one point z_m in each of M cells of equal prior
probability

    p(x) = ∫ p(x | z) p(z) dz ≈ 1/M Σ_m p(x | z_m),
    p(z in cell m | x) ≈ p(x | z_m) / Σ_k p(x | z_k).

For the Bernoulli likelihood log p(x | z) = x · logits(z) - Σ softplus(logits(z)), so the
log-likelihoods of a batch at all points are one matrix product with a table of the decoder's
logits. Where in its cell a point lies is drawn anew for each table (and is the same for all its
cells), which makes 1/M Σ an unbiased estimate of p(x).

What is exact: nothing stands between the decoder and log p(x), no encoder and no bound. What
isn't: the grid is finite, so a posterior that is narrower than a cell is seen at one point; and
during training a table is as old as the steps since it was computed.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softplus

from vae_runtime.arrays import Float64, UInt8
from vae_runtime.errors import VAEError
from vae_train.config import MAX_EXACT_LATENT_DIM
from vae_train.evaluation import float_batches
from vae_train.model import VAE, Decoder
from vae_train.prior_cells import cell_points, middle_points

# Of the quadrature: 256×256 with two latent dimensions.
EVALUATION_CELLS = 1 << 16
# Logits that are computed at once, and in an evaluation kept at once: 32 MB.
MAX_LOGITS = 1 << 23
# Points that are decoded at once, whatever the size of an image.
MAX_POINTS = 1024


@dataclass(frozen=True)
class DecoderTable:
    """The decoder at M points: z (M, D), logits (M, P) of P pixels, log_partition (M,).

    `log_partition` is Σ softplus(logits) over the pixels.
    """

    z: Tensor
    logits: Tensor
    log_partition: Tensor

    def log_likelihoods(self, images: Tensor) -> Tensor:
        """log p(image | z) of images (N, C, H, W) in [0, 1] at each point, (N, M) nats."""
        return images.flatten(1) @ self.logits.T - self.log_partition


@torch.no_grad()
def decoder_table(decoder: Decoder, z: Tensor) -> DecoderTable:
    """The table of a decoder at the points z (M, D), decoded a part at a time."""
    logits = []
    log_partition = []
    for part in torch.split(z, MAX_POINTS):
        part_logits = decoder.logits(part).flatten(1)
        logits.append(part_logits)
        log_partition.append(softplus(part_logits).sum(1))
    return DecoderTable(z, torch.cat(logits), torch.cat(log_partition))


def drawn_points(posterior: Tensor, count: int, rng: torch.Generator) -> Tensor:
    """Numbers of points, (N, count) int64, drawn from the probabilities `posterior` (N, M)."""
    drawn = torch.multinomial(posterior.cpu(), count, replacement=True, generator=rng)
    return drawn.to(posterior.device)


class RenewedTable:
    """A table of a decoder that is being trained, computed anew every `lifetime` steps.

    It keeps a copy of the decoder as it was then, so that a run that goes on in between finds the
    same table.
    """

    def __init__(self, decoder: Decoder, latent_dim: int, cells: int, lifetime: int) -> None:
        self.decoder = decoder
        self.latent_dim = latent_dim
        self.cells = cells
        self.lifetime = lifetime
        self.old_decoder = copy.deepcopy(decoder)
        self.place = torch.full((latent_dim,), 0.5)
        self.steps = 0
        self.table: DecoderTable | None = None

    def next(self, rng: torch.Generator) -> DecoderTable:
        """The table for the next step."""
        if self.steps % self.lifetime == 0:
            self.place = torch.rand(self.latent_dim, generator=rng)
            self.old_decoder.load_state_dict(self.decoder.state_dict())
            self.table = None
        self.steps += 1
        if self.table is None:
            z = cell_points(self.cells, self.latent_dim, self.place)
            device = next(self.decoder.parameters()).device
            self.table = decoder_table(self.old_decoder, z.to(device))
        return self.table

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` needs to compute the same table."""
        return {
            "steps": self.steps,
            "place": self.place,
            "decoder": self.old_decoder.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with the table of `state`."""
        self.steps = state["steps"]
        self.place = state["place"]
        self.old_decoder.load_state_dict(state["decoder"])
        self.table = None


def require_exact(model: VAE) -> None:
    """Raise VAEError for a model whose log p(x) a grid doesn't give."""
    latent_dim = model.latent_dim
    if latent_dim > MAX_EXACT_LATENT_DIM:
        raise VAEError(f"exact log p(x) needs one or two latent dimensions, not {latent_dim}")
    if model.likelihood != "bernoulli":
        raise VAEError(
            f"exact log p(x) needs the Bernoulli likelihood; this model's is {model.likelihood}"
        )


@torch.no_grad()
def exact_log_likelihood(model: VAE, images: UInt8, cells: int = EVALUATION_CELLS) -> Float64:
    """log p(x) of images (N, C, H, W) by the midpoint rule over `cells` cells, (N,) nats.

    Memory doesn't grow with the number of cells. Raises VAEError for more than two latent
    dimensions and for other likelihoods than Bernoulli.
    """
    require_exact(model)
    latent_dim = model.latent_dim
    device = next(model.parameters()).device
    points = middle_points(cells, latent_dim).to(device)
    points_at_once = max(1, MAX_LOGITS // images[0].size)
    total = torch.full((len(images),), -math.inf, dtype=torch.float64)
    for part in torch.split(points, points_at_once):
        table = decoder_table(model.decoder, part)
        sums = []
        for batch in float_batches(model, images):
            log_likelihoods = table.log_likelihoods(batch)
            sums.append(log_likelihoods.double().logsumexp(1).cpu())
        total = torch.logaddexp(total, torch.cat(sums))
    log_likelihood: Float64 = (total - math.log(cells)).numpy()
    return log_likelihood
