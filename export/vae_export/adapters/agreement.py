"""Whether a VAE decodes what its encoder gives, and how far from the mean it draws.

A bundle's reconstruction is decode(z_mean). The module's own forward is run without noise, and what
reaches its decoder is compared with the means: a normalizing flow, or a projection onto a sphere or
into a hyperbolic space, changes it, and no output tells. Run with noise of one everywhere, it
decodes the mean plus the standard deviation.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from vae_export.adapters.parts import Chain, Parts, VAEMethod
from vae_export.contract import FORWARD_ERRORS
from vae_export.torch_modules import module_name
from vae_runtime.errors import VAEError

# Methods that reconstruct images, the usual one first.
RECONSTRUCTIONS = ("forward", "reconstruct")
# How far a latent may be from every mean, where these reach as far as the prior's deviation or
# less, else of their largest magnitude: some models round their latents to bytes.
MAX_SHIFT = 0.05

# Mean and standard deviation of `x.normal_()`.
STANDARD_NORMAL = (0.0, 1.0)


class _FixedNoise(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch types it not
    """Normal draws give their mean plus so many standard deviations, uniform ones their mean."""

    def __init__(self, deviations: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.deviations = deviations

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[Any],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        name = str(func).split(".")[1]
        if name in ("randn", "randn_like"):
            return result.fill_(self.deviations)
        if name in ("rand", "rand_like"):
            return result.fill_(0.5)
        if name == "uniform_":
            low, high = args[1:] or (0.0, 1.0)
            return result.fill_((low + high) / 2)
        if name in ("normal", "normal_"):
            given = args if name == "normal" else args[1:]
            mean, std = (*given, *STANDARD_NORMAL[len(given) :])[:2]
            return result.copy_(torch.as_tensor(mean + self.deviations * std))
        return result


def require_means_decoded(vae: nn.Module, parts: Parts, images: Tensor, means: Tensor) -> None:
    """Raise VAEError where the decoder of `vae` never gets the posterior's means.

    `means` (N, *latent_shape) are those of `images`. A module that doesn't run on images alone, and
    one that doesn't call its decoder, tells nothing.
    """
    shape = means.shape[1:]
    shifts = []
    for z in _decoded_latents(vae, parts, images, 0):
        if z.shape[-len(shape) :] == shape:
            shifts.append(_shift(z.reshape(-1, *shape).flatten(1), means.flatten(1)))
    # Some decode a draw from the prior as well. NaN is no small shift.
    if shifts and not any(shift <= _allowed(means) for shift in shifts):
        raise VAEError(
            f"{module_name(vae)} doesn't decode the mean that its encoder gives: something between "
            "them changes it (a flow, a sphere, a hyperbolic space), and a bundle has no such "
            "step; to export it without, give the pair (encoder, decoder)"
        )


def own_deviations(vae: nn.Module, parts: Parts, images: Tensor, means: Tensor) -> Tensor | None:
    """The standard deviations (N, *latent_shape) that a VAE's own forward draws with.

    None where it draws nothing, or doesn't tell.
    """
    centers = _decoded_latents(vae, parts, images, 0)
    moved = _decoded_latents(vae, parts, images, 1)
    for center, z in zip(centers, moved, strict=False):
        if not center.shape == z.shape == means.shape:
            continue
        deviations = z - center
        is_of_means = float((center - means).abs().max()) <= _allowed(means)
        if is_of_means and bool((deviations != 0).any()):
            return deviations
    return None


def _allowed(means: Tensor) -> float:
    return MAX_SHIFT * max(1.0, float(means.abs().max()))


def _shift(latents: Tensor, means: Tensor) -> float:
    """The largest difference of a latent from the nearest mean, both (N, D)."""
    differences = (latents[:, None] - means[None]).abs().amax(2)
    return float(differences.amin(1).max())


def _decoded_latents(
    vae: nn.Module, parts: Parts, images: Tensor, deviations: float
) -> list[Tensor]:
    """What reaches the decoder where the module reconstructs images with that noise alone."""
    for name in RECONSTRUCTIONS:
        method = getattr(vae, name, None)
        if not callable(method):
            continue
        latents: list[Tensor] = []
        try:
            # Hamiltonian steps need gradients. Warnings were written for others.
            with (
                _recording(parts.decoder, latents),
                _FixedNoise(deviations),
                torch.enable_grad(),
                warnings.catch_warnings(action="ignore"),
            ):
                method(images.clone())
        except FORWARD_ERRORS:
            continue
        if latents:
            return latents
    return []


@contextmanager
def _recording(decoder: nn.Module, latents: list[Tensor]) -> Iterator[None]:
    """Keep whatever tensor the decoder, or the method that is one, is given first."""

    def record(z: Any) -> None:
        if isinstance(z, Tensor):
            latents.append(z.detach().clone())

    if isinstance(decoder, VAEMethod):
        original: Callable[..., Any] = getattr(decoder.vae, decoder.method)

        def recorded(*args: Any, **kwargs: Any) -> Any:
            record(next(iter((*args, *kwargs.values())), None))
            return original(*args, **kwargs)

        vars(decoder.vae)[decoder.method] = recorded
        try:
            yield
        finally:
            del vars(decoder.vae)[decoder.method]
        return
    first = decoder.first if isinstance(decoder, Chain) else decoder
    handle = first.register_forward_pre_hook(lambda _, args: record(next(iter(args), None)))
    try:
        yield
    finally:
        handle.remove()
