"""The ELBO of a pair of graphs on held-out images, drawn and summed exactly as `vae_runtime.VAE.score` does."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from vae_export.sessions import Array, open_session, run
from vae_runtime.bundle import Likelihood
from vae_runtime.likelihood import bound, log_likelihood

QUANTILES = (0.001, 0.01, 0.05)
BATCH = 16
DRAWS = 4  # per image, to compare two variants by


def scores(
    encoder: onnx.ModelProto, decoder: onnx.ModelProto, images: Array, likelihood: Likelihood, seed: int = 0
) -> NDArray[np.float64]:
    """The ELBO of each image in nats, one draw of z each, (N,)."""
    z_mean, z_log_var = (np.asarray(v, np.float64) for v in run(open_session(encoder), images, BATCH))
    return _elbo(open_session(decoder), images, z_mean, z_log_var, likelihood, seed)


def elbo(encoder: onnx.ModelProto, decoder: onnx.ModelProto, images: Array, likelihood: Likelihood) -> float:
    """The mean over images and a few draws; the same noise for every pair of graphs, so differences are precise."""
    z_mean, z_log_var = (np.asarray(v, np.float64) for v in run(open_session(encoder), images, BATCH))
    session = open_session(decoder)
    return float(np.mean([_elbo(session, images, z_mean, z_log_var, likelihood, seed).mean() for seed in range(DRAWS)]))


def quantiles(values: NDArray[np.float64]) -> dict[str, float]:
    """The scores that 0.1, 1 and 5 % of the images stay below."""
    return {str(q): float(np.quantile(values, q)) for q in QUANTILES}


def _elbo(
    session: Any,
    images: Array,
    z_mean: NDArray[np.float64],
    z_log_var: NDArray[np.float64],
    likelihood: Likelihood,
    seed: int,
) -> NDArray[np.float64]:
    epsilon = np.random.default_rng(seed).standard_normal(z_mean.shape)
    z = z_mean + np.exp(0.5 * z_log_var) * epsilon
    (decoded,) = run(session, z.astype(np.float32), BATCH)
    log_p = log_likelihood(images[:, None], decoded[:, None], likelihood)
    return bound(log_p, z[:, None], z_mean, z_log_var, epsilon[:, None])
