"""Cells of the latent space to which the prior N(0, 1) gives the same probability.

With Φ the distribution function of the normal distribution, u = Φ(z) is uniform on (0, 1) in each
dimension. Equal cells of u are therefore cells of z with equal prior probability. In one dimension
there are as many as one likes, in two a square number of them, row by row.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vae_train.config import MAX_EXACT_LATENT_DIM

# A point at u = 0 would be infinitely far out.
MIN_QUANTILE = 1e-6


def cells_per_axis(cells: int, latent_dim: int) -> int:
    """The number of cells along each axis. Raises ValueError where no such grid has `cells`."""
    if not 1 <= latent_dim <= MAX_EXACT_LATENT_DIM:
        raise ValueError(f"cells of the prior need one or two latent dimensions, not {latent_dim}")
    side: int = round(cells ** (1 / latent_dim))
    if side**latent_dim != cells:
        raise ValueError(f"{cells} cells are no square grid")
    return side


def cell_points(cells: int, latent_dim: int, place: Tensor) -> Tensor:
    """One z in each cell, (cells, latent_dim) float32.

    `place` (latent_dim,) in [0, 1) is where in its cell each point lies, in units of u: 0.5 is the
    middle.
    """
    side = cells_per_axis(cells, latent_dim)
    axes = []
    for offset in place.double():
        u = (torch.arange(side) + offset) / side
        axes.append(torch.special.ndtri(u.clamp(MIN_QUANTILE, 1 - MIN_QUANTILE)))
    return torch.cartesian_prod(*axes).view(cells, latent_dim).float()


def middle_points(cells: int, latent_dim: int) -> Tensor:
    """The middle of each cell, (cells, latent_dim) float32."""
    return cell_points(cells, latent_dim, torch.full((latent_dim,), 0.5))


def cell_of(z: Tensor, cells: int) -> Tensor:
    """The number of the cell in which each z (N, latent_dim) lies, (N,) int64."""
    latent_dim = z.shape[1]
    side = cells_per_axis(cells, latent_dim)
    u = torch.special.ndtr(z.double())
    along_axes = (u * side).long().clamp(0, side - 1)
    number: Tensor = along_axes[:, 0]
    for axis in range(1, latent_dim):
        number = number * side + along_axes[:, axis]
    return number
