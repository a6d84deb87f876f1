"""Cells of a latent space of one or two dimensions to which the prior gives equal probability.

With Φ the distribution function of N(0, 1), u = Φ(z) is uniform on (0, 1) in each dimension, so a
grid of `side` equal intervals of u along each axis is a grid of cells of equal prior probability.
A cell is named by its whole coordinates (D,), each from 0 to side - 1.
"""

from __future__ import annotations

import numpy as np

from vae_runtime.arrays import Float64, Int64
from vae_runtime.fast import inverse_normal_cdf

MAX_GRID_DIM = 2


def all_cells(side: int, latent_dim: int) -> Int64:
    """The coordinates (side^D, D) of every cell, row by row."""
    coordinates: Int64 = np.indices((side,) * latent_dim).reshape(latent_dim, -1).T
    return coordinates


def middles(coordinates: Int64, side: int) -> Float64:
    """The middle z (M, D), in units of u, of cells (M, D) of a grid of `side` cells per axis."""
    values, positions = np.unique(coordinates, return_inverse=True)
    quantiles = [inverse_normal_cdf((value + 0.5) / side) for value in values.tolist()]
    z: Float64 = np.array(quantiles)[positions].reshape(coordinates.shape)
    return z


def nearest_cells(z: Float64, axis: Float64) -> Int64:
    """The coordinates (N, D) of the cells whose middles, along each axis, are nearest to z (N, D).

    `axis` (side,) are the middles along one axis.
    """
    boundaries = (axis[:-1] + axis[1:]) / 2
    coordinates: Int64 = np.searchsorted(boundaries, z)
    return coordinates


def split(coordinates: Int64) -> Int64:
    """The 2^D parts of each cell (M, D), in a grid of twice as many per axis: (M, 2^D, D)."""
    halves = all_cells(2, coordinates.shape[1])
    parts: Int64 = 2 * coordinates[:, None] + halves
    return parts


def with_neighbors(image: Int64, coordinates: Int64, side: int) -> tuple[Int64, Int64]:
    """Pairs of an image (K,) and a cell (K, D), and the cells around each, every pair once."""
    steps = all_cells(3, coordinates.shape[1]) - 1
    around = (coordinates[:, None] + steps).reshape(-1, coordinates.shape[1])
    is_inside = ((around >= 0) & (around < side)).all(1)
    pairs = np.column_stack([np.repeat(image, len(steps)), around])
    unique = np.unique(pairs[is_inside], axis=0)
    return unique[:, 0], unique[:, 1:]
