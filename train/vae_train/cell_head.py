"""A head of an encoder that first chooses a cell of the prior, and then the place in it.

The posterior of neighboring images may lie in distant folds of the latent space. A head that
regresses z has to cross everything between them; this one classifies (which of K cells of equal
prior probability), and regresses within the cell only.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from vae_train.prior_cells import middle_points

# 16×16 with two latent dimensions.
HEAD_CELLS = 256
# How far one unit of the last layer's output moves z from the middle of its cell.
OFFSET_SCALE = 0.3
FIRST_LOG_VAR = -5.0
MIN_LOG_VAR = -12.0
MAX_LOG_VAR = 1.0


class CellCodes(NamedTuple):
    """What a CellHead says of N images.

    logits (N, K) of the cells, z_means (N, K, D) with the mean in each cell if that were the right
    one, z_log_var (N, D), the same in all of them.
    """

    logits: Tensor
    z_means: Tensor
    z_log_var: Tensor

    def chosen(self) -> tuple[Tensor, Tensor]:
        """z_mean in the most probable cell, and z_log_var, each (N, D)."""
        # Of operators that ONNX has for any batch size.
        best = self.logits.argmax(1, keepdim=True)
        return self.means_in(best).squeeze(1), self.z_log_var

    def means_in(self, cells: Tensor) -> Tensor:
        """The means in `cells` (N, S), (N, S, D)."""
        latent_dim = self.z_means.shape[2]
        return self.z_means.gather(1, cells.unsqueeze(2).expand(-1, -1, latent_dim))


class CellHead(nn.Module):
    """features (N, width) -> z_mean and z_log_var, each (N, latent_dim); `codes` has all cells."""

    middles: Tensor

    def __init__(self, width: int, latent_dim: int, cells: int = HEAD_CELLS) -> None:
        super().__init__()
        self.cells = cells
        self.latent_dim = latent_dim
        self.register_buffer("middles", middle_points(cells, latent_dim))
        self.linear = nn.Linear(width, cells + cells * latent_dim + latent_dim)
        self.initialize()

    @torch.no_grad()
    def initialize(self) -> None:
        """Begin with equally probable cells, the mean in the middle of each."""
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        self.linear.bias[-self.latent_dim :] = FIRST_LOG_VAR

    def codes(self, features: Tensor) -> CellCodes:
        sizes = [self.cells, self.cells * self.latent_dim, self.latent_dim]
        logits, offsets, z_log_var = self.linear(features).split(sizes, dim=1)
        offsets = offsets.unflatten(1, (self.cells, self.latent_dim))
        return CellCodes(
            logits,
            self.middles + OFFSET_SCALE * offsets,
            z_log_var.clamp(MIN_LOG_VAR, MAX_LOG_VAR),
        )

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        return self.codes(features).chosen()
