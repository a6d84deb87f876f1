"""Places in a latent space: the book's grid, and paths between latents."""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from vae_runtime.arrays import Float64
from vae_runtime.fast import inverse_normal_cdf

PathMode = Literal["linear", "spherical"]
PATH_MODES: tuple[PathMode, ...] = get_args(PathMode)
BOOK_QUANTILES = (0.05, 0.95)
# Below this sine of their angle two latents are parallel or opposite: no single great circle.
MIN_SINE = 1e-6


def axis_points(
    n: int,
    quantiles: tuple[float, float] | None = None,
    limits: tuple[float, float] | None = None,
) -> Float64:
    """n points (n,) along an axis of latent space; a single one is the middle.

    Quantiles of N(0, 1), by default the book's 0.05 … 0.95, or `limits` in latent units. Raises
    ValueError for quantiles beyond (0, 1), limits that don't rise, or both.
    """
    if limits is None:
        return _quantile_points(n, *(quantiles or BOOK_QUANTILES))
    if quantiles is not None:
        raise ValueError("quantiles and limits exclude each other")
    if len(limits) != 2 or not -math.inf < limits[0] < limits[1] < math.inf:
        shown = ", ".join(map(str, limits))
        raise ValueError(f"limits must be two finite numbers that rise, not {shown}")
    return _spaced(*limits, n)


def grid(x: Float64, y: Float64, axes: tuple[int, int], anchor: Float64) -> Float64:
    """Latents (rows·columns, D): row i has z[axes[1]] = y[i], column j has z[axes[0]] = x[j].

    The other dimensions are those of `anchor` (D,). With one latent dimension only x counts. Raises
    ValueError for axes that don't exist or are the same.
    """
    latent_dim = len(anchor)
    used = axes if latent_dim > 1 else axes[:1]
    if len(set(used)) != len(used) or not all(0 <= axis < latent_dim for axis in used):
        last = latent_dim - 1
        raise ValueError(
            f"axes {axes[0]},{axes[1]} are not two of the latent dimensions 0 … {last}"
        )
    z = np.tile(anchor, (len(x) * len(y), 1))
    z[:, axes[0]] = np.tile(x, len(y))
    if latent_dim > 1:
        z[:, axes[1]] = np.repeat(y, len(x))
    return z


def path(z_a: Float64, z_b: Float64, steps: int, mode: PathMode = "linear") -> Float64:
    """Latents (steps, D) from z_a to z_b (each (D,)), both included; "spherical" is slerp.

    Shoemake 1985, "Animating rotation with quaternion curves". Raises ValueError for another mode
    or fewer than two steps.
    """
    if steps < 2:
        raise ValueError(f"a path needs at least 2 steps, not {steps}")
    if mode not in PATH_MODES:
        raise ValueError(f"mode {mode!r} is neither 'linear' nor 'spherical'")
    t = np.linspace(0, 1, steps)[:, None]
    if mode == "spherical":
        return _great_circle(z_a, z_b, t)
    return _line(z_a, z_b, t)


def direction(with_it: NDArray[np.floating], without: NDArray[np.floating]) -> Float64:
    """The concept (D,) that latents `with_it` (N, D) have and those `without` (M, D) don't.

    The difference of their means. Raises ValueError where there are none of either.
    """
    if not len(with_it) or not len(without):
        raise ValueError("a concept needs at least one image with it and one without")
    concept: Float64 = with_it.mean(0, dtype=np.float64) - without.mean(0, dtype=np.float64)
    return concept


def _quantile_points(n: int, low: float, high: float) -> Float64:
    if not 0 < low <= high < 1:
        raise ValueError(f"quantiles must rise and lie between 0 and 1, not {low:g} … {high:g}")
    return np.array([inverse_normal_cdf(p) for p in _spaced(low, high, n)])


def _spaced(low: float, high: float, n: int) -> Float64:
    if n == 1:
        return np.array([(low + high) / 2])
    return np.linspace(low, high, n)


def _line(z_a: Float64, z_b: Float64, t: Float64) -> Float64:
    points: Float64 = (1 - t) * z_a + t * z_b
    return points


def _great_circle(z_a: Float64, z_b: Float64, t: Float64) -> Float64:
    lengths = np.linalg.norm(z_a), np.linalg.norm(z_b)
    cosine = float(z_a @ z_b / max(float(lengths[0] * lengths[1]), 1e-12))
    angle = np.arccos(np.clip(cosine, -1, 1))
    if np.sin(angle) < MIN_SINE:
        return _line(z_a, z_b, t)
    arc: Float64 = (np.sin((1 - t) * angle) * z_a + np.sin(t * angle) * z_b) / np.sin(angle)
    return arc
