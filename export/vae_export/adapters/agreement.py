"""Whether a VAE decodes what its encoder gives: a flow or a sphere may stand between the two.

A bundle's reconstruction is decode(z_mean). The module's own forward is run without noise, and what
reaches its decoder is compared with the means: normalizing flows, Hamiltonian steps, projections
onto a sphere or into a hyperbolic space change it, and no output tells.
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


class _NoNoise(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch types it not
    """Normal and uniform draws give their mean."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[Any],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        name = str(func).split(".")[1].rstrip("_")
        if name in ("randn", "randn_like"):
            return result.zero_()
        if name in ("rand", "rand_like"):
            return result.fill_(0.5)
        if name == "uniform":
            low, high = args[1:] or (0.0, 1.0)
            return result.fill_((low + high) / 2)
        if name == "normal":
            return result.copy_(torch.as_tensor(_mean_of_normal(args)))
        return result


def _mean_of_normal(args: tuple[Any, ...]) -> Any:
    """The mean that `torch.normal(mean, std)` or `x.normal_(mean, std)` was given."""
    is_in_place = len(args) != 2 or not isinstance(args[1], Tensor | float)
    if not is_in_place:
        return args[0]
    return args[1] if len(args) > 1 else 0.0


def require_means_decoded(vae: nn.Module, parts: Parts, images: Tensor, means: Tensor) -> None:
    """Raise VAEError where the decoder of `vae` never gets the posterior's means.

    `means` (N, *latent_shape) are those of `images`. A module that doesn't run on images alone, and
    one that doesn't call its decoder, tells nothing.
    """
    shape = means.shape[1:]
    allowed = MAX_SHIFT * max(1.0, float(means.abs().max()))
    shifts = []
    for z in _decoded_latents(vae, parts, images):
        if z.shape[-len(shape) :] == shape:
            shifts.append(_shift(z.reshape(-1, *shape).flatten(1), means.flatten(1)))
    # Some decode a draw from the prior as well. NaN is no small shift.
    if shifts and not any(shift <= allowed for shift in shifts):
        raise VAEError(
            f"{module_name(vae)} doesn't decode the mean that its encoder gives: something between "
            "them changes it (a flow, a sphere, a hyperbolic space), and a bundle has no such "
            "step; to export it without, give the pair (encoder, decoder)"
        )


def _shift(latents: Tensor, means: Tensor) -> float:
    """The largest difference of a latent from the nearest mean, both (N, D)."""
    differences = (latents[:, None] - means[None]).abs().amax(2)
    return float(differences.amin(1).max())


def _decoded_latents(vae: nn.Module, parts: Parts, images: Tensor) -> list[Tensor]:
    """What reaches the decoder where the module reconstructs images without noise."""
    for name in RECONSTRUCTIONS:
        method = getattr(vae, name, None)
        if not callable(method):
            continue
        latents: list[Tensor] = []
        try:
            with _recording(parts.decoder, latents), _NoNoise(), warnings.catch_warnings():
                # Not what this was written for.
                warnings.simplefilter("ignore")
                # Hamiltonian steps need gradients.
                with torch.enable_grad():
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
