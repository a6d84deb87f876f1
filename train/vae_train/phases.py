"""The phases of a run: stretches of epochs in each of which something else is learned.

Every run begins with the joint phase, in which both networks learn from the ELBO; most end with it.
With one or two latents the exact posterior p(z | x) can be had from a grid
(`vae_train.exact_posterior`), and two more phases may follow:

- The decoder learns from z of the exact posterior. d/dθ log p(x) = E_{p(z | x)} d/dθ log p(x | z),
  so a step on a draw of z is an unbiased step of maximum likelihood: stochastic EM (Dempster, Laird
  & Rubin 1977). The encoder takes no part, and no longer fits.
- The encoder learns from z of the exact posterior while the decoder stays as it is. It minimizes
  KL(p(z | x) || q(z | x)), as the sleep phase of wake-sleep does (Hinton et al. 1995), but for
  real images with their own posterior instead of dreamed ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vae_train.batches import BatchDraws
from vae_train.cell_head import CellCodes
from vae_train.config import TrainConfig
from vae_train.exact_posterior import RenewedTable, drawn_points
from vae_train.model import VAE, CellEncoder
from vae_train.objective import kl_loss, reconstruction_loss, sample
from vae_train.optim import learning_rate
from vae_train.prior_cells import cell_of

# The peak of the rate in the phases after the joint one, a share of the configuration's.
EXACT_RATE_SHARE = 0.5
# Cells of the grid, 96×96 and 128×128 with two latent dimensions, and for how many steps a table is
# used. While the encoder learns, the table changes by its points' places only.
DECODER_CELLS = 96 * 96
DECODER_TABLE_STEPS = 60
ENCODER_CELLS = 128 * 128
ENCODER_TABLE_STEPS = 800
# Draws of z per image from which the encoder learns.
ENCODER_DRAWS = 8


class StepLosses(NamedTuple):
    """Of a batch of N images, in nats: what is minimized, summed over images, and what is reported.

    `reconstruction` and `kl` are (N,).
    """

    minimized: Tensor
    reconstruction: Tensor
    kl: Tensor


def nothing() -> None:
    """What a phase prepares that needs no preparation."""


@dataclass(frozen=True)
class Phase:
    """Epochs `first_epoch` to `first_epoch + epochs - 1`, counted from zero.

    An optimizer of its own changes the parameters of `trained`, with the schedule of `config` over
    the phase. `losses` takes a batch (n, C, H, W) in [0, 1]. `prepare` is called before each epoch.
    """

    name: str
    config: TrainConfig
    first_epoch: int
    epochs: int
    trained: nn.Module
    losses: Callable[[Tensor, BatchDraws], StepLosses]
    table: RenewedTable | None = None
    prepare: Callable[[], None] = nothing

    def rate(self, epoch: int, step: int, steps_per_epoch: int) -> float:
        """The learning rate of a step of an epoch of this phase."""
        done = (epoch - self.first_epoch) * steps_per_epoch + step
        return learning_rate(self.config, done, self.epochs * steps_per_epoch)


def exact_phases(config: TrainConfig, model: VAE) -> list[Phase]:
    """The phases after the joint one that the configuration asks for."""
    exact_config = replace(config, learning_rate=config.learning_rate * EXACT_RATE_SHARE)
    phases = []
    epoch = config.epochs
    if config.decoder_epochs:
        decoding = ExactDecoding(config, model)
        phases.append(
            Phase(
                name="decoder",
                config=exact_config,
                first_epoch=epoch,
                epochs=config.decoder_epochs,
                trained=model.decoder,
                losses=decoding.losses,
                table=decoding.table,
            )
        )
        epoch += config.decoder_epochs
    if config.encoder_epochs:
        encoding = ExactEncoding(config, model)
        phases.append(
            Phase(
                name="encoder",
                config=exact_config,
                first_epoch=epoch,
                epochs=config.encoder_epochs,
                trained=model.encoder,
                losses=encoding.losses,
                table=encoding.table,
                prepare=encoding.prepare,
            )
        )
    return phases


class ExactDecoding:
    """The decoder's likelihood at z of the exact posterior, one draw per image.

    Reported are the exact posterior's own terms, whose sum is -log p(x): -E log p(x | z) and
    KL(p(z | x) || p(z)).
    """

    def __init__(self, config: TrainConfig, model: VAE) -> None:
        self.model = model
        self.table = RenewedTable(
            model.decoder, config.latent_dim, DECODER_CELLS, DECODER_TABLE_STEPS
        )

    def losses(self, images: Tensor, draws: BatchDraws) -> StepLosses:
        table = self.table.next(draws.rng)
        with torch.no_grad():
            log_likelihoods = table.log_likelihoods(images)
            posterior = log_likelihoods.softmax(1)
            drawn = drawn_points(posterior, 1, draws.rng).squeeze(1)
            log_p = log_likelihoods.logsumexp(1) - math.log(DECODER_CELLS)
            reconstruction = -(posterior * log_likelihoods).sum(1)
            kl = -log_p - reconstruction
        logits = self.model.decoder.logits(table.z[drawn])
        minimized = reconstruction_loss(logits, images).sum()
        return StepLosses(minimized, reconstruction, kl)


class ExactEncoding:
    """-E log q(z | x) over the exact posterior p(z | x), up to a constant.

    q is the encoder's choice of a cell and a Gaussian in it. The first part of the loss is the
    cross-entropy of the cells under the posterior's own probabilities; the second is the Gaussian's
    -log density at draws of z, each in the cell in which it lies. Reported are the two parts of the
    ELBO of what the encoder returns, with one draw per image.
    """

    def __init__(self, config: TrainConfig, model: VAE) -> None:
        assert isinstance(model.encoder, CellEncoder)
        self.config = config
        self.encoder = model.encoder
        self.decoder = model.decoder
        self.cells = model.encoder.cell_head.cells
        self.table = RenewedTable(
            model.decoder, config.latent_dim, ENCODER_CELLS, ENCODER_TABLE_STEPS
        )

    def prepare(self) -> None:
        self.encoder.chooses_cells = True

    def losses(self, images: Tensor, draws: BatchDraws) -> StepLosses:
        table = self.table.next(draws.rng)
        posterior = table.log_likelihoods(images).softmax(1)
        codes = self.encoder.codes(self._seen(images, draws))
        cells = cell_of(table.z, self.cells)
        cross_entropy = self._cross_entropy(codes, posterior, cells)
        surprise = self._surprise(codes, posterior, cells, table.z, draws)
        minimized = (cross_entropy + surprise).sum()
        return StepLosses(minimized, *self._elbo_terms(codes, images, draws))

    def _seen(self, images: Tensor, draws: BatchDraws) -> Tensor:
        """What the encoder sees of the images."""
        if not self.config.encoder_noise:
            return images
        return images + self.config.encoder_noise * draws.normal(*images.shape[1:])

    def _cross_entropy(self, codes: CellCodes, posterior: Tensor, cells: Tensor) -> Tensor:
        """-Σ p(cell | x) log q(cell | x), (N,); `cells` (M,) are those of the table's points."""
        probabilities = torch.zeros_like(codes.logits).index_add_(1, cells, posterior)
        return -(probabilities * codes.logits.log_softmax(1)).sum(1)

    def _surprise(
        self, codes: CellCodes, posterior: Tensor, cells: Tensor, points: Tensor, draws: BatchDraws
    ) -> Tensor:
        """The mean of -log q(z | cell, x) over draws of z, (N,), but for log(2π) / 2."""
        drawn = drawn_points(posterior, ENCODER_DRAWS, draws.rng)
        z_mean = codes.means_in(cells[drawn])
        log_var = codes.z_log_var.unsqueeze(1)
        squared = (points[drawn] - z_mean).square() * (-log_var).exp()
        return 0.5 * (squared + log_var).sum(2).mean(1)

    @torch.no_grad()
    def _elbo_terms(
        self, codes: CellCodes, images: Tensor, draws: BatchDraws
    ) -> tuple[Tensor, Tensor]:
        """Reconstruction and KL, each (N,), of what the encoder returns."""
        z_mean, z_log_var = codes.chosen()
        z = sample(z_mean, z_log_var, draws.normal(self.config.latent_dim))
        reconstruction = reconstruction_loss(self.decoder.logits(z), images)
        return reconstruction, kl_loss(z_mean, z_log_var)
