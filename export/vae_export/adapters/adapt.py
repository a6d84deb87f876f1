"""From somebody's VAE to the encoder and decoder of a bundle: try what the names suggest, and keep
what takes an image to latents and these back to an image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

from vae_export.adapters.agreement import (
    OwnForward,
    own_deviations,
    own_forward,
    require_means_decoded,
    rounding_error,
)
from vae_export.adapters.outputs import (
    NO_LOG_VAR,
    SPREADS,
    Path,
    PosteriorPaths,
    Spread,
    at,
    describe_tensors,
    image_path,
    tensors_in,
)
from vae_export.adapters.parts import (
    Parts,
    VAEMethod,
    possible_parts,
    require_no_torchscript,
    unwrapped,
    vae_inside,
)
from vae_export.adapters.posterior import find_posterior
from vae_export.adapters.ranges import ImageRange, find_range, last_operation
from vae_export.adapters.wrapped import AdaptedDecoder, AdaptedEncoder, LatentScale
from vae_export.contract import FORWARD_ERRORS, run_module
from vae_export.torch_modules import module_name
from vae_runtime.arrays import ImageShape
from vae_runtime.errors import VAEError

# Images that are tried, and latents on either side of them.
PROBE_COUNT = 4
# As far as latents reach when the range of the images is looked for.
LATENT_REACH = 4.0
# By how much of itself a standard deviation may differ that is the same, in bfloat16 too.
MAX_DEVIATION_ERROR = 1e-2
# Images that differ less are one image.
MIN_IMAGE_CHANGE = 1e-6


@dataclass(frozen=True)
class Hints:
    """What the caller says in place of finding it out; None is found out.

    `outputs` are the fields or positions of mean and spread in what the encoder returns.
    """

    image_range: ImageRange | None = None
    spread: Spread | None = None
    outputs: tuple[str | int, str | int] | None = None


@dataclass(frozen=True)
class Adapted:
    """Modules that keep a bundle's contract, in evaluation mode, and what was found.

    `encoder` takes images (N, C, H, W) in [0, 1] and returns z_mean and z_log_var, each
    (N, prod(latent_shape)); `decoder` takes such latents and returns images.
    """

    encoder: nn.Module
    decoder: nn.Module
    latent_shape: tuple[int, ...]
    image_range: ImageRange
    is_deterministic: bool
    findings: tuple[str, ...] = ()

    @property
    def latent_dim(self) -> int:
        return math.prod(self.latent_shape)


@dataclass(frozen=True)
class _RoundTrip:
    """One try that led from images through latents and back."""

    parts: Parts
    paths: PosteriorPaths
    image: Path
    latent_shape: tuple[int, ...]
    flat_images: bool
    gives_flat_images: bool
    log_var_is_positive: bool


@dataclass(frozen=True)
class _Failure:
    """Why one try led nowhere; whether it was of methods, and whether its encoder ran."""

    error: VAEError
    is_method: bool
    encodes: bool

    def weight(self) -> tuple[bool, bool]:
        """How much it says."""
        return self.is_method, self.encodes


def adapt(
    vae: nn.Module,
    decoder: nn.Module | None = None,
    *,
    image_shape: ImageShape,
    hints: Hints | None = None,
) -> Adapted:
    """The encoder and decoder of a whole VAE, or of a pair of modules, as a bundle needs them.

    Raises VAEError naming the module and the reason where no try leads from images (N, C, H, W) to
    latents and back, where an encoder samples, and where it cannot be told what is what; it lists
    the candidates.
    """
    hints = hints or Hints()
    whole = vae = unwrapped(vae)
    if decoder is None:
        vae = vae_inside(whole)
        tries = possible_parts(vae)
    else:
        tries = [Parts(vae, unwrapped(decoder), f"{module_name(vae)} and {module_name(decoder)}")]
    trip = _first_round_trip(tries, image_shape, hints)
    warnings: list[str] = []
    if decoder is None:
        trip, warnings = _agreed(whole, trip, image_shape, hints)
        if vae is not whole:
            trip, more = _agreed(vae, trip, image_shape, hints)
            warnings = warnings or more
    images = probe_images(image_shape, flat=trip.flat_images)
    require_no_torchscript(trip.parts.encoder, images)
    require_no_torchscript(trip.parts.decoder, probe_latents(trip.latent_shape))
    scale = latent_scale(vae)
    image_range, range_finding = _range(vae, trip, scale, hints)
    adapted = _wrapped(trip, image_range, scale, image_shape)
    findings = [*_describe(trip, scale), *warnings, range_finding]
    if _gives_one_image(adapted.decoder, adapted.latent_dim):
        findings.append("warning: the decoder gives the same image for every latent")
    return replace(adapted, findings=tuple(findings))


def _wrapped(
    trip: _RoundTrip, image_range: ImageRange, scale: LatentScale, image_shape: ImageShape
) -> Adapted:
    encoder = AdaptedEncoder(
        trip.parts.encoder, trip.paths, image_range, scale, flat_images=trip.flat_images
    )
    decoder = AdaptedDecoder(
        trip.parts.decoder,
        trip.image,
        image_range,
        scale,
        latent_shape=trip.latent_shape,
        image_shape=image_shape,
    )
    return Adapted(
        encoder=encoder.eval(),
        decoder=decoder.eval(),
        latent_shape=trip.latent_shape,
        image_range=image_range,
        is_deterministic=trip.paths.is_deterministic,
    )


def latent_scale(vae: nn.Module) -> LatentScale:
    """The scale and shift that diffusers' configurations name; one and zero elsewhere."""
    config = getattr(vae, "config", None)
    scale = getattr(config, "scaling_factor", None)
    shift = getattr(config, "shift_factor", None)
    if not isinstance(scale, int | float) or not scale > 0:
        scale = 1.0
    return LatentScale(float(scale), float(shift or 0))


def _first_round_trip(tries: list[Parts], image_shape: ImageShape, hints: Hints) -> _RoundTrip:
    """The first try that works.

    Where none does, the error of the first whose encoder runs: it says more than that another one
    doesn't take such images. A VAE's own methods say more than whatever else it has.
    """
    failures: list[_Failure] = []
    for parts, flat_images in product(tries, (False, True)):
        images = probe_images(image_shape, flat=flat_images)
        is_method = isinstance(parts.encoder, VAEMethod)
        try:
            outputs = run_module(parts.encoder, images)
        except VAEError as error:
            failures.append(_Failure(error, is_method, encodes=False))
            continue
        try:
            return _round_trip(parts, outputs, images, image_shape, hints)
        except VAEError as error:
            failures.append(_Failure(error, is_method, encodes=True))
    videos = None
    if not any(failure.encodes for failure in failures):
        videos = _for_videos(tries[0].encoder)
    raise videos or max(failures, key=_Failure.weight).error


def _agreed(
    vae: nn.Module, trip: _RoundTrip, image_shape: ImageShape, hints: Hints
) -> tuple[_RoundTrip, list[str]]:
    """The trip with the spread that the VAE's own forward draws with, and warnings of the rest.

    Raises VAEError where that forward decodes something else than the mean.
    """
    images = probe_images(image_shape, flat=trip.flat_images)
    own = own_forward(vae, trip.parts, images)
    encoded = _encoded(trip, own.images or [images])
    means = [trip.paths.read(outputs)[0] for outputs in encoded]
    require_means_decoded(vae, own.latents, means)
    if trip.paths.is_deterministic:
        return trip, []
    for outputs, mean in zip(encoded, means, strict=True):
        deviations = own_deviations(own, mean)
        if deviations is not None:
            return _with_spread(trip, outputs, deviations, own, hints)
    return trip, []


def _encoded(trip: _RoundTrip, given: list[Tensor]) -> list[Any]:
    """What the encoder makes of what it is given, where that is images that it takes."""
    encoded = []
    for images in given:
        try:
            outputs = run_module(trip.parts.encoder, images.float())
            mean, _ = trip.paths.read(outputs)
        except (VAEError, *FORWARD_ERRORS):
            continue
        if mean.shape[1:] == trip.latent_shape:
            encoded.append(outputs)
    return encoded


def _with_spread(
    trip: _RoundTrip, outputs: Any, deviations: Tensor, own: OwnForward, hints: Hints
) -> tuple[_RoundTrip, list[str]]:
    """The trip with the spread that explains these deviations, or a warning that none does."""
    kind = _kind_of(deviations, trip.paths, outputs, rounding_error(own))
    if kind is None or hints.spread not in (None, kind):
        return trip, [
            "warning: its own forward draws with other standard deviations than exp(z_log_var / "
            "2), so scores differ: give it a method encode that returns the log of the variance"
        ]
    paths = replace(trip.paths, kind=kind)
    return replace(trip, paths=paths, log_var_is_positive=False), []


def _kind_of(
    deviations: Tensor, paths: PosteriorPaths, outputs: Any, error: float
) -> Spread | None:
    """What the spread in an encoder's outputs is, if these are the standard deviations."""
    for kind in (paths.kind, *SPREADS):
        _, log_var = replace(paths, kind=kind).read(outputs)
        expected = torch.exp(log_var.float() / 2)
        if torch.allclose(expected, deviations, rtol=MAX_DEVIATION_ERROR, atol=error):
            return kind
    return None


def _for_videos(encoder: nn.Module) -> VAEError | None:
    """What is wrong with an encoder that has layers for videos."""
    inner = encoder.vae if isinstance(encoder, VAEMethod) else encoder
    for path, layer in inner.named_modules():
        if isinstance(layer, nn.Conv3d | nn.ConvTranspose3d):
            return VAEError(
                f"{module_name(encoder)} is for videos: its {path} is a convolution in time too, "
                "and a bundle's images are (C, H, W); give a module that takes and returns those"
            )
    return None


def _round_trip(
    parts: Parts, outputs: Any, images: Tensor, image_shape: ImageShape, hints: Hints
) -> _RoundTrip:
    """From what the encoder gave for `images`, (N, C, H, W) or flat, through the decoder."""
    again = run_module(parts.encoder, images)
    name = module_name(parts.encoder)
    errors = []
    for paths in find_posterior(name, outputs, again, hints.outputs, hints.spread):
        mean, log_var = paths.read(outputs)
        try:
            image, is_flat = _decoded(parts.decoder, mean, image_shape)
        except VAEError as error:
            errors.append(error)
            continue
        return _RoundTrip(
            parts=parts,
            paths=paths,
            image=image,
            latent_shape=tuple(mean.shape[1:]),
            flat_images=images.ndim == 2,
            gives_flat_images=is_flat,
            log_var_is_positive=bool((log_var > 0).all()),
        )
    raise errors[0]


def _decoded(decoder: nn.Module, z: Tensor, image_shape: ImageShape) -> tuple[Path, bool]:
    """Where the decoder's output holds images, and whether they are flat."""
    output = run_module(decoder, z)
    again = run_module(decoder, z)
    name = module_name(decoder)
    path = image_path(output)
    if path is None:
        found = describe_tensors(tensors_in(output)) or type(output).__name__
        raise VAEError(f"{name} should return an image; it returns {found}")
    image = at(output, path)
    if not torch.equal(image.nan_to_num(), at(again, path).nan_to_num()):
        raise VAEError(
            f"{name} gives other images at every call: it draws; return the mean of p(x | z) in "
            "place of a draw"
        )
    shape = tuple(image.shape[1:])
    is_flat = shape == (math.prod(image_shape),)
    if shape != image_shape and not is_flat:
        wrong = f"{name}: image should be {image_shape} for latents {tuple(z.shape[1:])}, "
        if shape == (*image_shape[1:], image_shape[0]):
            raise VAEError(wrong + f"not {shape}: channels come first, permute(0, 3, 1, 2)")
        raise VAEError(wrong + f"not {shape}")
    return path, is_flat


def _range(
    vae: nn.Module, trip: _RoundTrip, scale: LatentScale, hints: Hints
) -> tuple[ImageRange, str]:
    """The range of the images, and how it is known."""
    decoder = trip.parts.decoder
    z = probe_latents(trip.latent_shape)

    def decode() -> Tensor:
        image: Tensor = at(run_module(decoder, scale.undo(z)), trip.image)
        return image

    if hints.image_range is not None:
        return hints.image_range, f"image range: {hints.image_range}, as given"
    operation = last_operation(decode)
    found, reason = find_range(decode(), operation, vae, module_name(decoder))
    clamped = ", clamped" if found.clamped else ""
    return found, f"image range: {found}{clamped} ({reason})"


def probe_images(image_shape: ImageShape, *, flat: bool = False) -> Tensor:
    """Seeded noise (PROBE_COUNT, C, H, W) in [0, 1], flattened or not."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand((PROBE_COUNT, *image_shape), generator=generator)
    return images.flatten(1) if flat else images


def probe_latents(latent_shape: tuple[int, ...]) -> Tensor:
    """Latents that reach far out in every dimension."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand((PROBE_COUNT, *latent_shape), generator=generator)
    return (2 * noise - 1) * LATENT_REACH


def _gives_one_image(decoder: nn.Module, latent_dim: int) -> bool:
    images: Any = run_module(decoder, probe_latents((latent_dim,)))
    return float((images - images[:1]).abs().max()) < MIN_IMAGE_CHANGE


def _describe(trip: _RoundTrip, scale: LatentScale) -> list[str]:
    shape = ", ".join(map(str, trip.latent_shape))
    latents = f"latents: ({shape})"
    if len(trip.latent_shape) > 1:
        latents += f", flattened to {math.prod(trip.latent_shape)}"
    if not scale.is_one:
        latents += f", scaled by {scale.scale:g}"
    findings = [f"parts: {trip.parts.found_at}", f"encoder gives: {trip.paths.describe()}", latents]
    if trip.flat_images or trip.gives_flat_images:
        findings.append("images: flattened")
    if trip.log_var_is_positive and trip.paths.kind == "log_var":
        findings.append(
            "warning: the log variance is positive wherever it was tried, as a variance or a "
            "standard deviation is: --spread var or std (spread=) says so"
        )
    if trip.paths.is_deterministic:
        findings.append(
            "warning: the encoder gives no variance: this is a deterministic autoencoder, and its "
            f"z_log_var the constant {NO_LOG_VAR:g}; scores say how well it reconstructs, no more"
        )
    return findings
