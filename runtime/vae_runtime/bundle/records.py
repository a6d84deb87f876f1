"""What a bundle consists of, as frozen records."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from vae_runtime.errors import BundleError

Fit = Literal["contain", "stretch", "crop", "mnist"]
LikelihoodName = Literal["bernoulli", "continuous_bernoulli", "gaussian"]
GraphPrecision = Literal["fp32", "int8"]
FITS: tuple[Fit, ...] = get_args(Fit)
LIKELIHOODS: tuple[LikelihoodName, ...] = get_args(LikelihoodName)

ANY_PROVIDER = "*"
# What int8 may cost where a bundle doesn't say it, in nats per image.
ELBO_BUDGET = 0.3
# Pixels of an image of another size than the bundle's own: 1024×1024.
MAX_SIZED_PIXELS = 1 << 20
# Numbers of a long vector that a repr shows.
SHOWN_LATENTS = 4


@dataclass(frozen=True)
class GraphFile:
    """One ONNX file of a bundle: its name (no path), SHA-256 and size in bytes."""

    file: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class Variant:
    """Encoder and decoder in one precision, for the execution providers named ("*": any).

    `batch` is the number of images that its graphs take at a time, None where that is free.
    `requires` are conditions (`vae_runtime.engine.conditions`), one of which must hold for it to be
    the faster one; empty where it is so anywhere. `elbo_change` is in nats per image against fp32
    on held-out images, None where none were at hand; `elbo_budget` what "auto" lets it lose.
    `gains` maps conditions to how many times as fast as fp32 int8 is reckoned to be.
    `score_quantiles` maps "0.01" to the ELBO that one held-out image in a hundred stays below,
    `relative_quantiles` does so for relative scores.
    """

    name: str
    precision: GraphPrecision
    providers: tuple[str, ...]
    encoder: GraphFile
    decoder: GraphFile
    parity: Mapping[str, Any] = field(default_factory=dict)
    elbo_change: float | None = None
    score_quantiles: Mapping[str, float] = field(default_factory=dict)
    relative_quantiles: Mapping[str, float] = field(default_factory=dict)
    requires: tuple[str, ...] = ()
    elbo_budget: float = ELBO_BUDGET
    gains: Mapping[str, float] = field(default_factory=dict)
    batch: int | None = None

    @property
    def bytes(self) -> int:
        """The size of both graphs."""
        return self.encoder.bytes + self.decoder.bytes

    @property
    def is_portable(self) -> bool:
        return ANY_PROVIDER in self.providers

    def runs_on(self, provider: str, conditions: frozenset[str]) -> bool:
        """Whether it is made for the provider of this name (onnxruntime's) where these hold."""
        is_met = not self.requires or not conditions.isdisjoint(self.requires)
        return is_met and (self.is_portable or provider in self.providers)

    def summary(self) -> str:
        """One line for people: precision, providers, size, and what int8 costs."""
        line = f"{self.precision} for {', '.join(self.providers)}, {self.bytes / 1e6:.2f} MB"
        if self.batch is not None:
            line += f", batches of {self.batch} alone, by name"
        if self.precision != "fp32" and self.elbo_change is not None:
            line += f", ELBO {self.elbo_change:+.3f} nats"
        for condition, gain in self.gains.items():
            line += f", {gain:.1f}× with {condition.replace('_', ' ')}"
        return line


# (D, D), or (D,) where it is diagonal.
Covariance = tuple[float, ...] | tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Component:
    """One Gaussian of a mixture: weight, mean (D,), covariance (D, D) or (D,)."""

    weight: float
    mean: tuple[float, ...]
    cov: Covariance


@dataclass(frozen=True, repr=False)
class Label:
    """Where the training images of one label lie in latent space.

    `cov` (D, D), or (D,) where it is diagonal, includes the posterior variance; `components` is a
    mixture that fits better than the one Gaussian does, its covariances of the same form.
    """

    count: int
    mean: tuple[float, ...]
    cov: Covariance
    components: tuple[Component, ...]

    def __repr__(self) -> str:
        mean = ", ".join(f"{value:.2f}" for value in self.mean[:SHOWN_LATENTS])
        more = ", …" if len(self.mean) > SHOWN_LATENTS else ""
        return f"<Label of {self.count} images around ({mean}{more})>"


@dataclass(frozen=True)
class Likelihood:
    """p(x | z), whose mean the decoder gives.

    "bernoulli", "continuous_bernoulli", or "gaussian" with the log variance of each channel. Raises
    ValueError for another name.
    """

    name: LikelihoodName = "bernoulli"
    log_var: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.name not in LIKELIHOODS:
            raise ValueError(f"the likelihood {self.name!r} is not one of {', '.join(LIKELIHOODS)}")


@dataclass(frozen=True)
class Preprocess:
    """How an image of any size becomes the encoder's input; see `vae_runtime.formats.images`.

    Raises ValueError for an unknown fit.
    """

    fit: Fit = "contain"
    invert: bool = False

    def __post_init__(self) -> None:
        if self.fit not in FITS:
            raise ValueError(f"the fit {self.fit!r} is not one of {', '.join(FITS)}")

    def changed(self, fit: Fit | None, invert: bool | None) -> Preprocess:
        """The same but for what isn't None. Raises ValueError for an unknown fit."""
        return Preprocess(
            fit=self.fit if fit is None else fit,
            invert=self.invert if invert is None else invert,
        )


@dataclass(frozen=True, repr=False)
class Bundle:
    """A verified `bundle.json`; image_shape is (C, H, W).

    `latent_shape` is (C, h, w) where latents are small images; empty where they are (latent_dim,).
    """

    latent_dim: int
    image_shape: tuple[int, int, int]
    variants: tuple[Variant, ...]
    likelihood: Likelihood = Likelihood()
    preprocess: Preprocess = Preprocess()
    labels: Mapping[str, Label] = field(default_factory=dict)
    # A mixture for the latents of all training images; empty where it isn't known.
    density: tuple[Component, ...] = ()
    training: Mapping[str, Any] = field(default_factory=dict)
    producer: Mapping[str, str] = field(default_factory=dict)
    latent_shape: tuple[int, ...] = ()
    # Whether its graphs take images of other sizes too.
    dynamic_size: bool = False

    def __repr__(self) -> str:
        names = ", ".join(variant.name for variant in self.variants)
        return f"<Bundle of {self.latent_dim} latents, images {self.image_shape}, {names}>"

    @property
    def has_spatial_latents(self) -> bool:
        return len(self.latent_shape) > 1

    @property
    def stride(self) -> tuple[int, int]:
        """Pixels of an image per pixel of its latents, down and across."""
        _, height, width = self.image_shape
        _, latent_height, latent_width = self.latent_shape
        return height // latent_height, width // latent_width

    def of_size(self, height: int, width: int) -> Bundle:
        """The same for images of another size, without what is known of the size it was made for:
        labels, density and quantiles.

        Raises ValueError where the graphs have one size, for sizes that aren't multiples of the
        stride, and for more than MAX_SIZED_PIXELS.
        """
        channels, *own_size = self.image_shape
        if not self.dynamic_size:
            raise ValueError(
                f"this model's images are {own_size[0]}×{own_size[1]}, not {height}×{width}; "
                "export it with --dynamic-size for other sizes"
            )
        down, across = self.stride
        if height < 1 or width < 1 or height % down or width % across:
            raise ValueError(
                f"images of {height}×{width} pixels: this model takes multiples of {down}×{across}"
            )
        if height * width > MAX_SIZED_PIXELS:
            raise ValueError(
                f"images of {height}×{width} pixels are more than the {MAX_SIZED_PIXELS} that are "
                "computed at once; cut or shrink them"
            )
        latent_shape = (self.latent_shape[0], height // down, width // across)
        unmeasured = [replace(v, score_quantiles={}, relative_quantiles={}) for v in self.variants]
        return replace(
            self,
            latent_dim=math.prod(latent_shape),
            image_shape=(channels, height, width),
            variants=tuple(unmeasured),
            labels={},
            density=(),
            latent_shape=latent_shape,
        )

    @property
    def precisions(self) -> tuple[GraphPrecision, ...]:
        """Every precision that some variant has, each once."""
        return tuple(dict.fromkeys(variant.precision for variant in self.variants))

    def variant(
        self, precision: str, provider: str, conditions: frozenset[str] = frozenset()
    ) -> Variant:
        """The variant made for `provider` (onnxruntime's name), else the portable one.

        `conditions` are those that hold on this machine.

        Raises BundleError when the bundle has no graph of that precision for that provider.
        """
        candidates = [
            variant
            for variant in self.variants
            if variant.precision == precision and variant.runs_on(provider, conditions)
        ]
        if not candidates:
            present = [f"{v.precision} for {' '.join(v.providers)}" for v in self.variants]
            raise BundleError(
                f"this bundle has no {precision} graphs for {provider}; it has {', '.join(present)}"
            )
        for variant in candidates:
            if provider in variant.providers:
                return variant
        return candidates[0]

    def variant_named(self, name: str) -> Variant:
        """The variant of this name. Raises ValueError where there is none."""
        for variant in self.variants:
            if variant.name == name:
                return variant
        names = ", ".join(variant.name for variant in self.variants)
        raise ValueError(f"no variant {name!r} in this bundle; it has {names}")
