"""A decoder in the middle of each cell of the prior: log p(x | z) of an image in all of them.

For one or two latent dimensions. The likelihood of every image in every cell is one matrix product
with what the decoder gives there, so the decoder runs once for all images.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vae_runtime.arrays import Float32, Float64
from vae_runtime.bundle import Likelihood
from vae_runtime.latent.likelihood import linear_form
from vae_runtime.latent.prior_cells import all_cells, middles

Decode = Callable[[Float64], Float32]
"""Latents (N, D) -> images (N, C, H, W) in [0, 1]."""

# Cells along each axis, by the number of axes: 96×96 at 28×28 pixels are 29 MB. Larger images have
# fewer.
MAX_SIDES = {1: 128, 2: 96}
MIN_SIDE = 8
MAX_TABLE_BYTES = 64 << 20
FLOAT32_BYTES = 4
# Cells that are decoded at once.
DECODED_CELLS = 1024


@dataclass(frozen=True)
class DecoderTable:
    """`axis` (side,) are the middles along each axis, `natural` and `log_partition` those of a
    `LinearForm` with a row for each cell, row by row.
    """

    axis: Float64
    latent_dim: int
    natural: Float32
    log_partition: Float64

    @property
    def side(self) -> int:
        return len(self.axis)

    def log_likelihoods(self, pixels: Float32) -> Float64:
        """log p(x | z) of images (N, P) in each of the M cells, (N, M), up to a term of x alone."""
        log_p: Float64 = pixels @ self.natural.T - self.log_partition
        return log_p


def decoder_table(decode: Decode, latent_dim: int, likelihood: Likelihood) -> DecoderTable:
    """The table of a decoder; takes as long as decoding 9,216 images, 128 with one dimension."""
    pixels = decode(np.zeros((1, latent_dim))).size
    side = table_side(latent_dim, pixels)
    z = middles(all_cells(side, latent_dim), side)
    axis = middles(np.arange(side)[:, None], side)[:, 0]
    natural = np.empty((len(z), pixels), np.float32)
    log_partition = np.empty(len(z))
    for start in range(0, len(z), DECODED_CELLS):
        part = slice(start, start + DECODED_CELLS)
        natural[part], log_partition[part] = linear_form(decode(z[part]), likelihood)
    # This adds a term of the image alone, and keeps float32 from losing the differences of cells.
    natural -= natural.mean(0)
    return DecoderTable(axis, latent_dim, natural, log_partition)


def table_side(latent_dim: int, pixels: int) -> int:
    """Cells along each axis of the table of a decoder whose images have this many values."""
    cells = MAX_TABLE_BYTES / (FLOAT32_BYTES * pixels)
    side = int(cells ** (1 / latent_dim))
    return max(MIN_SIDE, min(MAX_SIDES[latent_dim], side))
