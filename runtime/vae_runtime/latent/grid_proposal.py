"""Where the posteriors of images have their modes, looked up in the table of a decoder.

The decoder isn't run: the table has log p(x | z) of an image at the middle of every cell, and the
few middles around the best one give the mode and the curvature there.
"""

from __future__ import annotations

import numpy as np

from vae_runtime.arrays import Float32, Float64, Int64
from vae_runtime.latent.decoder_table import DecoderTable
from vae_runtime.latent.gaussian import Gaussians
from vae_runtime.latent.prior_cells import all_cells

# Every second cell along each axis is looked at, and then those around the best of them.
COARSE_STEP = 2
# Those that may be the best, and their neighbors.
PATCH_REACH = COARSE_STEP
PATCH_SIDE = 2 * PATCH_REACH + 1
# The narrowest Gaussian that is proposed has a variance of 1e-5.
MAX_PRECISION = 1e5
# Images whose patches, 78 kB each at 28×28 pixels, are looked at together.
IMAGES_AT_ONCE = 64


class GridProposal:
    """Proposes a Gaussian for each image: the mode, and the variances of Laplace's approximation.

    Both come from parabolas through log p(x, z) in the best cell and its neighbors along each axis.
    """

    def __init__(self, table: DecoderTable) -> None:
        self.table = table
        self.shape = (table.side,) * table.latent_dim
        cells = all_cells(table.side, table.latent_dim)
        is_coarse = (cells % COARSE_STEP == COARSE_STEP // 2).all(1)
        self.coarse_cells = cells[is_coarse]
        self.coarse_natural = table.natural[is_coarse]
        self.coarse_log_partition = table.log_partition[is_coarse]

    def __call__(self, images: Float32) -> Gaussians:
        """Gaussians of images (N, C, H, W)."""
        pixels = images.reshape(len(images), -1)
        z_means = [np.empty((0, self.table.latent_dim))]
        z_log_vars = [np.empty((0, self.table.latent_dim))]
        for start in range(0, len(pixels), IMAGES_AT_ONCE):
            proposed = self._proposed(pixels[start : start + IMAGES_AT_ONCE])
            z_means.append(proposed.z_mean)
            z_log_vars.append(proposed.z_log_var)
        return Gaussians(np.concatenate(z_means), np.concatenate(z_log_vars))

    def _proposed(self, pixels: Float32) -> Gaussians:
        latent_dim = self.table.latent_dim
        patch_shape = (PATCH_SIDE,) * latent_dim
        patch = self._patches(pixels)
        log_joint = self._log_joint(pixels, patch).reshape(-1, *patch_shape)
        places = self.table.axis[patch].reshape(-1, *patch_shape, latent_dim)
        best = _best_inner(log_joint)
        tops = []
        precisions = []
        for axis in range(latent_dim):
            # The best cell and those before and after it along this axis.
            line = [position[:, None] for position in best]
            line[axis] = line[axis] + np.array([-1, 0, 1])
            rows = np.arange(len(pixels))[:, None]
            along = (rows, *line)
            top, precision = _parabola(places[along][..., axis], log_joint[along])
            tops.append(top)
            precisions.append(precision)
        precision = np.clip(np.stack(precisions, 1), 1, MAX_PRECISION)
        return Gaussians(np.stack(tops, 1), -np.log(precision))

    def _patches(self, pixels: Float32) -> Int64:
        """The coordinates (N, cells of a patch, D) around the best coarse cell of each image."""
        log_p = pixels @ self.coarse_natural.T - self.coarse_log_partition
        center = self.coarse_cells[log_p.argmax(1)]
        center = np.clip(center, PATCH_REACH, self.table.side - 1 - PATCH_REACH)
        steps = all_cells(PATCH_SIDE, self.table.latent_dim) - PATCH_REACH
        patches: Int64 = center[:, None] + steps
        return patches

    def _log_joint(self, pixels: Float32, patch: Int64) -> Float64:
        """log p(x, z) in the cells of each image's patch, but for a constant: (N, cells)."""
        cells = np.ravel_multi_index(tuple(np.moveaxis(patch, 2, 0)), self.shape)
        linear = np.matmul(self.table.natural[cells], pixels[:, :, None])[:, :, 0]
        log_prior = -0.5 * (self.table.axis[patch] ** 2).sum(2)
        log_joint: Float64 = linear - self.table.log_partition[cells] + log_prior
        return log_joint


def _best_inner(log_joint: Float64) -> tuple[Int64, ...]:
    """Where in its patch (N, …) each image has the best cell that has neighbors: D arrays (N,)."""
    inner = (slice(None), *[slice(1, -1)] * (log_joint.ndim - 1))
    values = log_joint[inner]
    best = values.reshape(len(values), -1).argmax(1)
    positions = np.unravel_index(best, values.shape[1:])
    return tuple(position + 1 for position in positions)


def _parabola(x: Float64, y: Float64) -> tuple[Float64, Float64]:
    """The top of the parabola through three points (N, 3), and minus its second derivative.

    The top lies between the outer points; where the parabola opens upwards it is the middle one.
    """
    left = (y[:, 1] - y[:, 0]) / (x[:, 1] - x[:, 0])
    right = (y[:, 2] - y[:, 1]) / (x[:, 2] - x[:, 1])
    half_curvature = (right - left) / (x[:, 2] - x[:, 0])
    has_top = half_curvature < 0
    divisor = np.where(has_top, 2 * half_curvature, 1)
    top = np.where(has_top, (x[:, 0] + x[:, 1]) / 2 - left / divisor, x[:, 1])
    return np.clip(top, x[:, 0], x[:, 2]), -2 * half_curvature
