"""log p(x) = log ∫ p(x | z) p(z) dz for one or two latent dimensions, by adaptive quadrature.

The prior's mass lies in cells of equal probability (`prior_cells`). The midpoint rule gives

    p(x) ≈ Σ_cells P(cell) p(x | middle of the cell).

Cells that contribute a large share of the sum are split into 2^D parts, together with their
neighbors, for a peak near an edge isn't seen from the middle of the next cell. The parts' middles
take the place of the cell's, until no cell holds a large share. A posterior however narrow is so
spread over many cells. What remains is the error of the midpoint rule in the small cells: the
embedded model's mean lies 0.01 nats below that of a uniform grid of 512×512 cells
(`python -m benchmarks.posterior`).
"""

from __future__ import annotations

import numpy as np

from vae_runtime.arrays import Float32, Float64, Int64
from vae_runtime.bundle import Likelihood
from vae_runtime.latent.decoder_table import Decode, DecoderTable
from vae_runtime.latent.likelihood import log_likelihood
from vae_runtime.latent.prior_cells import all_cells, middles, split, with_neighbors

# The share of p(x) that one cell may hold: of the table's cells, which may be much wider than a
# peak, and of their parts.
FIRST_MAX_SHARE = 0.001
MAX_SHARE = 0.05
# A cell of the table is 2^-8 as wide at the last level, where even a delta function ends.
MAX_LEVELS = 8
# Images that split their cells together, so that cells which several need are decoded once.
QUADRATURE_CHUNK = 256
# Images and decoded cells that are compared at once.
PAIRS_AT_ONCE = 1024


def exact_log_likelihood(
    images: Float32, table: DecoderTable, decode: Decode, likelihood: Likelihood
) -> Float64:
    """log p(x) of images (N, C, H, W) in nats, (N,)."""
    results = [np.empty(0)]
    for start in range(0, len(images), QUADRATURE_CHUNK):
        chunk = images[start : start + QUADRATURE_CHUNK]
        results.append(_Quadrature(chunk, table, decode, likelihood).log_p())
    return np.concatenate(results)


class _Quadrature:
    """The cells of a few images that are still to be split.

    Each of the K open pairs of an image and a cell has its number of the image in `image` (K,), the
    cell's `coordinates` (K, D) in a grid of `side` cells per axis, and `log_mass` (K,): the cell's
    part of log p(x). `settled` (N,) is the part of all others.
    """

    def __init__(
        self, images: Float32, table: DecoderTable, decode: Decode, likelihood: Likelihood
    ) -> None:
        self.images = images
        self.decode = decode
        self.likelihood = likelihood
        self.latent_dim = table.latent_dim
        self.side = table.side
        self._open(table)

    def log_p(self) -> Float64:
        for _ in range(MAX_LEVELS):
            if not len(self.image):
                break
            self._split()
            self._settle()
        np.logaddexp.at(self.settled, self.image, self.log_mass)
        log_p: Float64 = self.settled
        return log_p

    def _open(self, table: DecoderTable) -> None:
        """Begin with the cells of the table, of which most are settled at once."""
        cells = all_cells(self.side, self.latent_dim)
        log_mass = self._first_log_mass(table, cells)
        total = np.logaddexp.reduce(log_mass, axis=1, keepdims=True)
        image, cell = np.nonzero(log_mass > total + np.log(FIRST_MAX_SHARE))
        self.image, self.coordinates = with_neighbors(image, cells[cell], self.side)
        opened = (self.image, np.ravel_multi_index(tuple(self.coordinates.T), self._grid_shape))
        self.log_mass = log_mass[opened]
        log_mass[opened] = -np.inf
        self.settled = np.logaddexp.reduce(log_mass, axis=1)

    @property
    def _grid_shape(self) -> tuple[int, ...]:
        return (self.side,) * self.latent_dim

    def _first_log_mass(self, table: DecoderTable, cells: Int64) -> Float64:
        """log P(cell) p(x | middle) of the images in all cells of the table, (N, M)."""
        log_p = table.log_likelihoods(self.images.reshape(len(self.images), -1))
        # The table leaves out a term of the image alone, which the true value in one cell gives.
        rows = np.arange(len(self.images))
        best = log_p.argmax(1)
        missing = self._log_likelihood(rows, cells[best]) - log_p[rows, best]
        log_mass: Float64 = log_p + missing[:, None] - np.log(len(cells))
        return log_mass

    def _split(self) -> None:
        """Put the parts of every open cell in its place."""
        parts = split(self.coordinates)
        self.side *= 2
        self.image = np.repeat(self.image, parts.shape[1])
        self.coordinates = parts.reshape(-1, self.latent_dim)
        log_p = self._log_likelihood(self.image, self.coordinates)
        self.log_mass = log_p - self.latent_dim * np.log(self.side)

    def _settle(self) -> None:
        """Keep the parts open that hold a large share, and their neighbors; count the others."""
        total = self.settled.copy()
        np.logaddexp.at(total, self.image, self.log_mass)
        is_large = self.log_mass > total[self.image] + np.log(MAX_SHARE)
        near = with_neighbors(self.image[is_large], self.coordinates[is_large], self.side)
        is_open = np.isin(self._keys(self.image, self.coordinates), self._keys(*near))
        np.logaddexp.at(self.settled, self.image[~is_open], self.log_mass[~is_open])
        self.image = self.image[is_open]
        self.coordinates = self.coordinates[is_open]
        self.log_mass = self.log_mass[is_open]

    def _keys(self, image: Int64, coordinates: Int64) -> Int64:
        """One number for each pair of an image and a cell."""
        shape = (len(self.images), *self._grid_shape)
        keys: Int64 = np.ravel_multi_index((image, *coordinates.T), shape)
        return keys

    def _log_likelihood(self, image: Int64, coordinates: Int64) -> Float64:
        """log p(x | z) of pairs of an image (K,) and a cell (K, D), (K,)."""
        cells, positions = np.unique(coordinates, axis=0, return_inverse=True)
        decoded = self.decode(middles(cells, self.side))
        log_p = np.empty(len(image))
        for start in range(0, len(image), PAIRS_AT_ONCE):
            part = slice(start, start + PAIRS_AT_ONCE)
            given = decoded[positions[part]][:, None]
            some = self.images[image[part]][:, None]
            log_p[part] = log_likelihood(some, given, self.likelihood)[:, 0]
        return log_p
