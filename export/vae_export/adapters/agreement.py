"""Whether a VAE decodes what its encoder gives, and how far from the mean it draws.

A bundle's reconstruction is decode(z_mean). The module's own forward is run without noise, and what
reaches its decoder is compared with the means of what its encoder was given: a normalizing flow, or
a projection onto a sphere or into a hyperbolic space, changes it, and no output tells. Run with
noise of one everywhere, it decodes the mean plus the standard deviation.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from vae_export.adapters.parts import Chain, Parts, VAEMethod, WithHeads
from vae_export.torch_modules import copied, module_name, operation_name
from vae_runtime.errors import VAEError

# Methods that reconstruct images, the usual one first.
RECONSTRUCTIONS = ("forward", "reconstruct")
# How far a latent may be from every mean, and how far of their largest magnitude where that is
# more: models that round their latents to bytes move them by a 255th of it at most.
MAX_SHIFT = 0.05
MAX_RELATIVE_SHIFT = 0.01

# Of the latents' last digits, by how many two of them may be rounded apart.
ROUNDINGS = 8

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
        name = operation_name(func)
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


@dataclass(frozen=True)
class OwnForward:
    """What a VAE's own forward gives its parts, one tensor a call; nothing where it doesn't tell.

    `images` and `latents` are what encoder and decoder are given without noise, `moved` what the
    decoder is given with noise of one, if the encoder is given the same images then.
    """

    images: list[Tensor] = field(default_factory=list)
    latents: list[Tensor] = field(default_factory=list)
    moved: list[Tensor] = field(default_factory=list)


def own_forward(vae: nn.Module, parts: Parts, images: Tensor) -> OwnForward:
    """Run a copy of `vae` on `images` (N, ...), and watch those of its modules that are `parts`.

    A module that doesn't run on images alone, one that doesn't call its decoder, and one that draws
    with something else than torch, so that it gives other latents each time, tell nothing.
    """
    try:
        copy = _Copy.of(vae, parts)
    except VAEError:
        # It cannot be exported either, and the exporter says why.
        return OwnForward()
    for method in RECONSTRUCTIONS:
        plain = copy.run(method, images, 0)
        if plain.latents:
            break
    else:
        return plain
    again = copy.run(method, images, 0)
    if not _are_equal(plain.latents, again.latents):
        return OwnForward()
    moved = copy.run(method, images, 1)
    if not _are_equal(plain.images, moved.images):
        # Noise that reaches the encoder moves the means as well.
        return plain
    return OwnForward(plain.images, plain.latents, moved.latents)


def require_means_decoded(vae: nn.Module, latents: list[Tensor], means: list[Tensor]) -> None:
    """Raise VAEError where none of the latents that `vae` decodes are the posterior's means.

    `means` (N, *latent_shape) are those of what its encoder was given, call by call.
    """
    if not means:
        return
    shape = means[0].shape[1:]
    center = torch.cat(means)
    shifts = []
    for z in latents:
        if z.shape[-len(shape) :] == shape:
            shifts.append(_shift(z.reshape(-1, *shape).flatten(1), center.flatten(1)))
    # Some decode a draw from the prior as well. NaN is no small shift.
    if shifts and not any(shift <= _allowed(center) for shift in shifts):
        raise VAEError(
            f"{module_name(vae)} doesn't decode the mean that its encoder gives: something between "
            "them changes it (a flow, a sphere, a hyperbolic space), and a bundle has no such "
            "step; to export it without, give the pair (encoder, decoder)"
        )


def own_deviations(own: OwnForward, mean: Tensor) -> Tensor | None:
    """The standard deviations (N, *latent_shape) around `mean` that a VAE's own forward draws with.

    None where it draws nothing, or doesn't tell.
    """
    for center, z in zip(own.latents, own.moved, strict=False):
        if not center.shape == z.shape == mean.shape:
            continue
        # Some subtract the noise.
        deviations = (z.float() - center.float()).abs()
        is_of_mean = float((center.float() - mean.float()).abs().max()) <= _allowed(mean)
        if is_of_mean and bool((deviations != 0).any()):
            return deviations
    return None


def rounding_error(own: OwnForward) -> float:
    """How far rounding alone may move the difference of two of these latents."""
    errors = [0.0]
    for z in own.latents:
        if z.is_floating_point() and z.numel():
            errors.append(torch.finfo(z.dtype).eps * float(z.abs().max()))
    return ROUNDINGS * max(errors)


def _allowed(means: Tensor) -> float:
    return max(MAX_SHIFT, MAX_RELATIVE_SHIFT * float(means.abs().max()))


def _shift(latents: Tensor, means: Tensor) -> float:
    """The largest difference of a latent from the nearest mean, both (N, D)."""
    differences = (latents.float()[:, None] - means.float()[None]).abs().amax(2)
    return float(differences.amin(1).max())


def _are_equal(some: list[Tensor], others: list[Tensor]) -> bool:
    if len(some) != len(others):
        return False
    return all(torch.equal(one, other) for one, other in zip(some, others, strict=True))


@dataclass(frozen=True)
class _Copy:
    """A copy of a VAE, so that nothing that its forward keeps stays in the user's."""

    vae: nn.Module
    encoder: nn.Module
    decoder: nn.Module

    @staticmethod
    def of(vae: nn.Module, parts: Parts) -> _Copy:
        # Copied together the parts stay parts of it.
        together = copied(nn.ModuleList([vae, parts.encoder, parts.decoder]))
        return _Copy(*map(together.get_submodule, ("0", "1", "2")))

    def run(self, name: str, images: Tensor, deviations: float) -> OwnForward:
        """What its parts are given where the method of that name runs with that noise alone."""
        method = getattr(self.vae, name, None)
        if not callable(method):
            return OwnForward()
        # Hamiltonian steps need gradients, which take memory.
        for gradients in (False, True):
            given = OwnForward()
            try:
                # Warnings were written for others.
                with (
                    _recording(self.encoder, given.images),
                    _recording(self.decoder, given.latents),
                    _FixedNoise(deviations),
                    torch.set_grad_enabled(gradients),
                    warnings.catch_warnings(action="ignore"),
                ):
                    method(images.clone())
            except RuntimeError:
                continue
            except Exception:
                # A forward may raise anything on images that it wasn't written for.
                return OwnForward()
            return given
        return OwnForward()


@contextmanager
def _recording(part: nn.Module, given: list[Tensor]) -> Iterator[None]:
    """Keep whatever tensor a part, or the method that is one, is given first."""

    def record(*args: Any, **kwargs: Any) -> None:
        first = next(iter((*args, *kwargs.values())), None)
        if isinstance(first, Tensor):
            given.append(first.detach().clone())

    if isinstance(part, VAEMethod):
        with _method_watched(part.vae, part.method, record):
            yield
        return
    first = _first_module(part)
    handle = first.register_forward_pre_hook(
        lambda _, args, kwargs: record(*args, **kwargs), with_kwargs=True
    )
    try:
        yield
    finally:
        handle.remove()


def _first_module(part: nn.Module) -> nn.Module:
    """The user's own module that gets what a part is given."""
    if isinstance(part, Chain):
        return part.first
    return part.encoder if isinstance(part, WithHeads) else part


@contextmanager
def _method_watched(vae: nn.Module, name: str, record: Callable[..., None]) -> Iterator[None]:
    original: Callable[..., Any] = getattr(vae, name)
    attributes = vars(vae)
    # A method is none of them, but people also assign functions.
    was_assigned = name in attributes

    def recorded(*args: Any, **kwargs: Any) -> Any:
        record(*args, **kwargs)
        return original(*args, **kwargs)

    attributes[name] = recorded
    try:
        yield
    finally:
        if was_assigned:
            attributes[name] = original
        else:
            del attributes[name]
