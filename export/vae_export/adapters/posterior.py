"""Which of the tensors that an encoder returns are the posterior's mean and spread.

Fields are known by their names. Tensors without names are told apart by running the encoder twice:
a sample differs from run to run, mean and spread don't.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from vae_export.adapters.outputs import (
    Path,
    PosteriorPaths,
    Spread,
    at,
    describe_tensors,
    field,
    latent_field,
    posterior_paths,
    tensors_in,
)
from vae_runtime.errors import VAEError


def find_posterior(
    name: str,
    output: Any,
    again: Any,
    wanted: tuple[str | int, str | int] | None,
    spread: Spread | None,
) -> list[PosteriorPaths]:
    """The ways to mean and spread that are worth trying, the likeliest first.

    `output` and `again` are what the encoder `name` gave for the same images; `wanted` and `spread`
    are what the caller says. Raises VAEError where it samples or nothing tells which is which.
    """
    if wanted is not None:
        candidates = [_wanted_paths(name, output, wanted, spread)]
    else:
        candidates = _candidates(name, output, again, spread)
    for paths in candidates:
        for path in (paths.mean, paths.spread):
            if path is not None and not torch.equal(at(output, path), at(again, path)):
                raise _samples(name)
    return candidates


def _wanted_paths(
    name: str, output: Any, wanted: tuple[str | int, str | int], spread: Spread | None
) -> PosteriorPaths:
    for step in wanted:
        value = _child(output, step)
        if not isinstance(value, Tensor):
            found = describe_tensors(tensors_in(output))
            raise VAEError(f"{name} returns no tensor {step!r}; it returns {found}")
    return PosteriorPaths((wanted[0],), (wanted[1],), spread or "log_var")


def _child(output: Any, step: str | int) -> Any:
    if isinstance(step, str):
        return field(output, step)
    if isinstance(output, tuple | list) and step < len(output):
        return output[step]
    return None


def _candidates(name: str, output: Any, again: Any, spread: Spread | None) -> list[PosteriorPaths]:
    if isinstance(output, Tensor):
        return _of_one_tensor((), output, again, name, spread)
    named = posterior_paths(output)
    if len(named) > 1:
        found = "; ".join(paths.describe() for paths in named)
        raise _ambiguous(name, found)
    if named:
        return [_with_spread(named[0], spread)]
    latents = latent_field(output)
    if latents is not None:
        return _of_one_tensor(latents, at(output, latents), at(again, latents), name, spread)
    return _of_positions(name, output, again, spread)


def _of_one_tensor(
    path: Path, tensor: Tensor, again: Tensor, name: str, spread: Spread | None
) -> list[PosteriorPaths]:
    """Halves first: the decoder refuses what isn't a latent."""
    if not torch.equal(tensor, again):
        raise _samples(name)
    candidates = []
    if tensor.ndim > 1 and tensor.shape[1] % 2 == 0:
        candidates.append(PosteriorPaths(path, None, spread or "log_var", halves=True))
    candidates.append(PosteriorPaths(path))
    return candidates


def _of_positions(
    name: str, output: Any, again: Any, spread: Spread | None
) -> list[PosteriorPaths]:
    """Of a tuple: the two tensors of one shape that are no sample."""
    tensors = tensors_in(output)
    if not isinstance(output, tuple | list) or not tensors:
        if len(tensors) > 1:
            raise _ambiguous(name, describe_tensors(tensors))
        found = describe_tensors(tensors) or type(output).__name__
        raise VAEError(f"{name} should return z_mean, z_log_var; it returns {found}")
    positions = [i for i, item in enumerate(output) if isinstance(item, Tensor)]
    if len(positions) == 1:
        i = positions[0]
        return _of_one_tensor((i,), output[i], again[i], name, spread)
    fixed = [i for i in positions if torch.equal(output[i], again[i])]
    if len(positions) > 2:
        # A model that doesn't sample in evaluation mode gives its mean twice.
        fixed = _without_repeats(output, fixed)
    if len(fixed) < 2:
        raise _samples(name)
    if len(fixed) > 2 or output[fixed[0]].shape != output[fixed[1]].shape:
        raise _ambiguous(name, describe_tensors(tensors))
    return [PosteriorPaths((fixed[0],), (fixed[1],), spread or "log_var")]


def _without_repeats(output: Any, positions: list[int]) -> list[int]:
    kept: list[int] = []
    for i in positions:
        if not any(torch.equal(output[i], output[j]) for j in kept):
            kept.append(i)
    return kept


def _with_spread(paths: PosteriorPaths, spread: Spread | None) -> PosteriorPaths:
    return paths if spread is None else PosteriorPaths(paths.mean, paths.spread, spread)


def _samples(name: str) -> VAEError:
    return VAEError(
        f"{name} gives other values at every call: it samples; return the mean and the log "
        "variance of its posterior in place of a draw"
    )


def _ambiguous(name: str, found: str) -> VAEError:
    return VAEError(
        f"{name} returns several tensors that may be z_mean and z_log_var: {found}; say which two "
        "with --encoder-outputs MEAN,LOG_VAR (encoder_outputs=)"
    )
