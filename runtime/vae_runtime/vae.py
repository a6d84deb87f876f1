"""The API: a VAE loaded from its bundle. numpy in, numpy out; stateless per call."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

import numpy as np
from numpy.typing import ArrayLike

from vae_runtime import check as parity_check
from vae_runtime.arguments import (
    MAX_SAMPLES,
    check_count,
    file_path,
    finite_number,
    generator,
    number_pair,
    one_of,
    pair,
    seed_number,
    shown,
    truth,
    whole_number,
    word,
)
from vae_runtime.arrays import (
    Float32,
    Float64,
    check_images,
    check_latents,
    check_latents_of_shape,
    check_tiles,
)
from vae_runtime.bundle import (
    Bundle,
    BundleSource,
    BundleStorage,
    Fit,
    Label,
    Variant,
    read_bundle,
)
from vae_runtime.bundle.reading import as_storage
from vae_runtime.door import MAX_PIXELS
from vae_runtime.engine.conditions import conditions_here
from vae_runtime.engine.cpu import default_threads
from vae_runtime.engine.flat import FlatLatents
from vae_runtime.engine.precision import Precision, choose_precision
from vae_runtime.engine.providers import CPU, Provider, resolve
from vae_runtime.engine.session import BundleGraph
from vae_runtime.errors import BundleError
from vae_runtime.formats.pictures import save_picture
from vae_runtime.formats.sheets import Pixels, sheet
from vae_runtime.latent import labels as latent_labels
from vae_runtime.latent import places
from vae_runtime.latent.gaussian import Gaussians, draw_mixture
from vae_runtime.latent.posterior import INFERENCES, Inference, PosteriorSearch
from vae_runtime.latent.scores import Bound, chosen_bound, draws_of, relative_scores
from vae_runtime.sources import ImageSource, images_from

if TYPE_CHECKING:
    from PIL import Image

    from vae_runtime.latent.decoder_table import Decode

EMBEDDED_BUNDLE = Path(__file__).parent / "models" / "digits.vae"
# No CPU has more.
MAX_THREADS = 1024
# Of the images that one call returns: 256 GiB.
MAX_RESULT_NUMBERS = 1 << 36
# Latents that a score draws lie within it; beyond it networks overflow.
MAX_DRAWN_LATENT = 1e6
# In standard deviations; no draw of this package goes beyond.
FARTHEST_DRAW = 10
# Pixels of a sheet per pixel of an image, along each side.
MAX_SCALE = 256
# Images in one chunk of a stream.
STREAM_CHUNK = 1024
# Images that a score decodes at once.
SCORE_CHUNK = 1024
Graph = BundleGraph | FlatLatents
SampleSource = Literal["prior", "data"]
SAMPLE_SOURCES: tuple[SampleSource, ...] = get_args(SampleSource)


def load(
    path: BundleSource | None = None,
    *,
    provider: str = "auto",
    precision: Precision = "fp32",
    threads: int | None = None,
    provider_options: Mapping[str, Any] | None = None,
) -> VAE:
    """Load a bundle, by default the embedded model of handwritten digits.

    `path` is a folder, a zip file of one, or the bytes or the open file of such a zip.

    `provider` is "auto", "cpu", "cuda", "cuda:N" or onnxruntime's name of one; `precision` "fp32",
    "int8" or "auto"; `threads` None follows CPU affinity, cgroup limit and OMP_NUM_THREADS. Raises
    BundleError for a missing or damaged bundle, ProviderError for a provider that cannot run,
    ValueError and TypeError for a wrong argument. A damaged graph is found when it is first used;
    `VAE.verify` looks at all of them at once.
    """
    bundle = EMBEDDED_BUNDLE if path is None else path
    return VAE(bundle, provider, precision, threads, provider_options)


class VAE:
    """A variational autoencoder on onnxruntime; see `load`.

    May be shared by threads, pickled, and used in a forked child. `variant` names one of the
    bundle's variants and runs it whatever its conditions are; `precision` is then the variant's
    own. `size` is that of `of_size`. Raises ValueError for a name that the bundle doesn't have.
    """

    def __init__(
        self,
        path: BundleSource | BundleStorage,
        provider: str = "auto",
        precision: Precision = "fp32",
        threads: int | None = None,
        provider_options: Mapping[str, Any] | None = None,
        *,
        variant: str | None = None,
        size: tuple[int, int] | None = None,
    ) -> None:
        _check_threads(threads)
        _check_provider(provider, precision, provider_options)
        self.storage: BundleStorage = as_storage(path)
        self.path = self.storage.path
        self._arguments = {
            "path": self.storage,
            "provider": provider,
            "precision": precision,
            "threads": threads,
            "provider_options": provider_options,
            "variant": variant,
            "size": size,
        }
        self.bundle: Bundle = read_bundle(self.storage)
        if size is not None:
            self.bundle = self.bundle.of_size(*_checked_size(size))
        self._of_last_size: VAE | None = None
        self.threads = threads or default_threads()
        chosen = resolve(provider, provider_options)
        self.provider = chosen.name
        self.variant: Variant
        if variant is None:
            self.precision, self.precision_reason = choose_precision(
                precision, self.bundle, chosen.name
            )
            self.variant = self.bundle.variant(self.precision, chosen.name, conditions_here())
        else:
            self.variant = self.bundle.variant_named(variant)
            self.precision = self.variant.precision
            self.precision_reason = f"that of the variant {variant!r}, asked for"
        self._encoder, self._decoder = self._graphs(chosen)
        self._posterior = PosteriorSearch(
            _decode_by(self._decoder), self.latent_dim, self.bundle.likelihood
        )
        if chosen.name != CPU:
            # An accelerator may refuse only when the session is built.
            self._decoder.verify()

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (self._arguments,)

    def __repr__(self) -> str:
        name = self.path.name
        return (
            f"<VAE {name}: {self.latent_dim} latents, images {self.image_shape}, {self.provider}>"
        )

    def _repr_html_(self) -> str:
        """What a notebook shows: the facts of `info`."""
        import html

        rows = []
        for name, value in self.info.items():
            if value and not isinstance(value, dict):
                rows.append(f"<tr><th>{name}</th><td>{html.escape(str(value))}</td></tr>")
        return f"<table>{''.join(rows)}</table>"

    def __enter__(self) -> VAE:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free sessions, threads and the decoder's table. The next call builds them again."""
        self._encoder.close()
        self._decoder.close()
        self._posterior.close()
        if self._of_last_size is not None:
            self._of_last_size.close()

    def verify(self) -> None:
        """Check everything that is in the bundle's files.

        Builds both sessions, which checks the graphs' hashes, names, shapes and dtypes, and reads
        check.npz. Raises BundleError.
        """
        self._encoder.verify()
        self._decoder.verify()
        parity_check.read_check(self.storage, self.bundle)

    def check(self) -> dict[str, float]:
        """Compare check.npz on this device: the largest difference of each output from torch's.

        Raises VAEError naming the output and the difference when one is beyond the tolerance,
        BundleError when the file is missing or damaged.
        """
        return parity_check.differences(self)

    @property
    def latent_dim(self) -> int:
        return self.bundle.latent_dim

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """(D,), or (C, h, w) of an autoencoder whose latents are small images; D is their product.

        `grid` and latent files have such latents flattened, the last dimension fastest.
        """
        return self.bundle.latent_shape or (self.latent_dim,)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return self.bundle.image_shape

    @property
    def labels(self) -> Mapping[str, Label]:
        """Where the training images of each label lie in latent space; may be empty."""
        return self.bundle.labels

    @property
    def info(self) -> dict[str, Any]:
        """What is loaded: path, shapes, provider, precision and why, threads, training."""
        return {
            "path": str(self.path),
            "latent_dim": self.latent_dim,
            "latent_shape": list(self.latent_shape),
            "image_shape": list(self.image_shape),
            "dynamic_size": self.bundle.dynamic_size,
            "provider": self.provider,
            "precision": self.precision,
            "precision_reason": self.precision_reason,
            "variant": self.variant.name,
            "threads": self.threads,
            "likelihood": self.bundle.likelihood.name,
            "labels": list(self.labels),
            "training": dict(self.bundle.training),
            "producer": dict(self.bundle.producer),
        }

    def of_size(self, height: int, width: int) -> VAE:
        """The same model for images of another size, where the bundle has a dynamic size.

        It has the shapes of that size, and no labels, density and quantiles. `encode`,
        `reconstruct` and `decode` find out by themselves which size arrays of theirs have. Raises
        ValueError for a bundle of one size, for what isn't a multiple of its stride, and for more
        than 1024×1024 pixels.
        """
        size = _checked_size((height, width))
        if size == self.image_shape[1:]:
            return self
        last = self._of_last_size
        if last is None or last.image_shape[1:] != size:
            last = _rebuilt({**self._arguments, "size": size})
            self._of_last_size = last
        return last

    def decode(self, z: ArrayLike) -> Float32:
        """Latents (N, D) or (N, *latent_shape) -> images (N, C, H, W) float32 in [0, 1].

        With a dynamic size latents (N, C, h, w) of any h and w. Raises ValueError for another
        shape, NaN or infinity, TypeError for what isn't numbers.
        """
        if self.bundle.dynamic_size:
            other = self._for_shape(z, self.latent_shape, self.bundle.stride)
            if other is not self:
                return other.decode(z)
        (images,) = self._decoder(self._latents(z))
        return images

    def read(
        self,
        source: ImageSource,
        *,
        fit: Fit | None = None,
        invert: bool | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> Float32:
        """Images (N, C, H, W) float32 in [0, 1] from whatever holds them.

        Takes a path, a folder, bytes of an image file, an open one, a Pillow image, several of
        these in a list, or an array with channels first or last. Pictures are brought to the
        model's size by the bundle's preprocessing, or by `fit` and `invert`. `encode`,
        `reconstruct`, `edit`, `score` and `learn_concept` take all of that too. Of pictures larger
        than `max_pixels` only JPEG is read, decoded smaller. Raises VAEError for a file that is
        missing, too large or no image, ValueError and TypeError for arrays that don't fit.
        """
        if fit is not None:
            word(fit, "fit")
        if not isinstance(invert, bool | None):
            raise TypeError(f"invert must be True, False or None, not {type(invert).__name__}")
        max_pixels = whole_number(max_pixels, "max_pixels", 1)
        preprocess = self.bundle.preprocess.changed(fit, invert)
        return images_from(source, self.image_shape, preprocess, max_pixels)

    def show(
        self, images: ArrayLike, *, columns: int | None = None, scale: int | None = None
    ) -> Image.Image:
        """A sheet of images (N, C, H, W) as a Pillow image, which a notebook displays.

        `columns` None makes it as square as it gets, `scale` None some 600 pixels wide.
        """
        from PIL import Image

        return Image.fromarray(self._sheet(images, columns, scale))

    def save(
        self,
        images: ArrayLike,
        path: str | os.PathLike[str],
        *,
        columns: int | None = None,
        scale: int | None = None,
    ) -> None:
        """Write a sheet of images (N, C, H, W) as .png, .jpg, .webp or .gif; see `show`.

        Raises VAEError for another suffix or a file that cannot be written.
        """
        target = file_path(path, "path")
        save_picture(self._sheet(images, columns, scale), target)

    def encode(
        self, images: ImageSource, *, inference: Inference = "encoder"
    ) -> tuple[Float32, Float32]:
        """Images -> z_mean and z_log_var, each (N, *latent_shape) float32.

        The posterior's variance is exp(z_log_var). `images` are what `read` takes. "refined"
        inference searches by decoding for a Gaussian with a higher ELBO, and returns the encoder's
        where it finds none; nothing in it is random. Raises ValueError for arrays of other shapes
        and values and for another inference, TypeError for another dtype.
        """
        if self.bundle.dynamic_size:
            other = self._for_shape(images, self.image_shape, (1, 1))
            if other is not self:
                return other.encode(images, inference=inference)
        z_mean, z_log_var = self._encoded(images, inference)
        if not self.bundle.has_spatial_latents:
            return z_mean, z_log_var
        shape = (len(z_mean), *self.latent_shape)
        return z_mean.reshape(shape), z_log_var.reshape(shape)

    def reconstruct(self, images: ImageSource, *, inference: Inference = "encoder") -> Float32:
        """decode(z_mean) of the images: (N, C, H, W) float32 in [0, 1]."""
        z_mean, _ = self.encode(images, inference=inference)
        return self.decode(z_mean)

    def sample(
        self,
        n: int,
        *,
        seed: int | None = None,
        source: SampleSource = "prior",
        temperature: float = 1.0,
    ) -> Float32:
        """n images (n, C, H, W) decoded from random places; the same seed gives the same bytes.

        The places are draws from the "prior" N(0, I), or from the density of the training images'
        latents ("data"), which leaves out where no image lies. A `temperature` below 1 draws nearer
        to the prior's center, or to the centers of the density's components: clearer images, less
        varied. Raises ValueError for a temperature that isn't positive, another source, and for
        "data" where the bundle has no density.
        """
        rng = generator(seed)
        count = self._count(n)
        return self.decode(self._draw(count, rng, source, temperature))

    def stream(
        self,
        z_or_n: ArrayLike,
        *,
        seed: int | None = None,
        source: SampleSource = "prior",
        temperature: float = 1.0,
    ) -> Iterator[Float32]:
        """Decode latents (N, D), or n draws as `sample` makes them, in chunks (k, C, H, W).

        Memory stays constant. From the prior the chunks together are what `sample` returns; of
        other draws they are as good, but others.
        """
        is_scalar_array = isinstance(z_or_n, np.ndarray) and not z_or_n.ndim
        if is_scalar_array or isinstance(z_or_n, int | float | np.number):
            rng = generator(seed)
            return self._stream_draws(check_count(z_or_n), rng, source, temperature)
        return self._stream_latents(self._latents(z_or_n))

    def grid(
        self,
        n: int = 15,
        *,
        axes: tuple[int, int] = (0, 1),
        quantiles: tuple[float, float] | None = None,
        limits: tuple[float, float] | None = None,
        anchor: ArrayLike | None = None,
    ) -> Float32:
        """Walk two latent axes: (n, n, C, H, W).

        Row i has z[axes[1]] = axis[i], column j has z[axes[0]] = axis[j]. The axis is the inverse
        normal CDF of n points over `quantiles` (default 0.05 … 0.95, as in the book), or n points
        over `limits` in latent units; the other dimensions are `anchor` (D,), default zeros.
        """
        self.require_vectors("grid")
        first, second = pair(axes, "axes")
        axes = (whole_number(first, "axes"), whole_number(second, "axes"))
        count = check_count(n)
        self._count(count**2)
        points = places.axis_points(
            count, number_pair(quantiles, "quantiles"), number_pair(limits, "limits")
        )
        center = np.zeros(self.latent_dim) if anchor is None else self._one_latent(anchor)
        z = places.grid(points, points, axes, np.asarray(center, np.float64))
        return self.decode(z).reshape(count, count, *self.image_shape)

    def require_vectors(self, what: str) -> None:
        """Raise ValueError where latents are small images, which have no plane to show or walk in.

        `what` is what needs one.
        """
        if self.bundle.has_spatial_latents:
            shape = "×".join(map(str, self.latent_shape))
            raise ValueError(
                f"{self.path}: {what} needs latents that are vectors; this model's are {shape} "
                "images: sample, interpolate and reconstruct take them"
            )

    def interpolate(
        self, z_a: ArrayLike, z_b: ArrayLike, steps: int = 10, *, mode: places.PathMode = "linear"
    ) -> Float32:
        """Images (steps, C, H, W) on the path between two latents (D,), both ends included.

        A label in place of a latent is the place where images look most like it. `mode` is "linear"
        or "spherical" (which keeps the distance to the origin, where high-dimensional latents lie).
        """
        first = self._place(z_a)
        last = self._place(z_b)
        count = whole_number(steps, "steps")
        self._count(max(0, count))
        return self.decode(
            places.path(first, last, count, cast(places.PathMode, word(mode, "mode")))
        )

    def edit(
        self,
        images: ImageSource,
        *,
        add: str | None = None,
        remove: str | None = None,
        direction: ArrayLike | None = None,
        strength: float = 1.0,
        inference: Inference = "encoder",
    ) -> Float32:
        """decode(z_mean + strength · (mean[add] - mean[remove])), (N, C, H, W).

        A label left out stands for the mean of all. `direction` (D,) is a concept of its own in
        place of two labels. Raises ValueError for a label that the bundle doesn't have, and for
        labels beside a direction.
        """
        change = finite_number(strength, "strength") * self._direction(add, remove, direction)
        z_mean, _ = self._encoded(images, inference)
        return self.decode(z_mean + change)

    def concept(self, add: str | None = None, remove: str | None = None) -> Float64:
        """The direction (D,) from one label's mean latent to another's, or to the mean of all."""
        if add is None and remove is None:
            raise ValueError("a concept needs a label to add or to remove")
        return self.label_mean(add) - self.label_mean(remove)

    def learn_concept(self, with_it: ImageSource, without: ImageSource) -> Float64:
        """The direction (D,) that images `with_it` have and those `without` don't.

        Both (N, C, H, W), at least one image. Raises ValueError for none.
        """
        z_with, _ = self._encoder(self._images(with_it))
        z_without, _ = self._encoder(self._images(without))
        return places.direction(z_with, z_without)

    def label_mean(self, label: str | None = None) -> Float64:
        """The mean latent (D,) of a label's training images, None for all of them.

        Raises ValueError for an unknown label, and for a bundle without labels.
        """
        if not self.labels:
            raise ValueError(
                f"{self.path}: this bundle was exported without labels, so it has no concepts"
            )
        return latent_labels.label_mean(self.labels, None if label is None else str(label))

    def sample_label(
        self,
        label: str | Sequence[str],
        n: int,
        *,
        seed: int | None = None,
        temperature: float = latent_labels.LABEL_TEMPERATURE,
    ) -> Float32:
        """n images of a label, or of each of several, (n, C, H, W).

        See `vae_runtime.latent.labels.draw_label` for the temperature.
        """
        rng = generator(seed)
        count = self._count(n)
        warmth = finite_number(temperature, "temperature")
        names = label if isinstance(label, list | tuple) else [label]
        draws = [np.empty((0, self.latent_dim))]
        for name in names:
            draws.append(latent_labels.draw_label(self.labels, str(name), count, rng, warmth))
        return self.decode(np.concatenate(draws))

    def score(
        self,
        images: ImageSource,
        *,
        samples: int = 1,
        seed: int | np.random.Generator = 0,
        bound: Bound | None = None,
        relative: bool = False,
    ) -> Float64:
        """How well the model explains each image, in nats, (N,); higher is better.

        `bound` is "elbo", the default; "importance", the importance-weighted bound (Burda et al.
        2016, equation 8), which rises with `samples` towards log p(x), and is the default for more
        than one of them; or "exact", log p(x) by quadrature, for one or two latent dimensions. With
        a number as `seed` the draws for an image depend on it and the image alone, so its score is
        the same in any company; a Generator is drawn from in order. Binary cross-entropy on gray
        values is no density: no bits per pixel.

        `relative` scores compare images of different kinds, such as known and unknown ones: see
        `vae_runtime.latent.scores`. Raises ValueError for arguments that don't go together.
        """
        samples = whole_number(samples, "samples", 1, MAX_SAMPLES)
        is_relative = truth(relative, "relative")
        kind = chosen_bound(bound, samples)
        array = self._images(images)
        if kind == "exact":
            scores = self._posterior.exact(array)
        else:
            scores = self._bounds(array, samples, seed)
        if is_relative:
            return relative_scores(scores, array, self.bundle.likelihood)
        return scores

    def _count(self, n: int) -> int:
        """A number of images that may be had at once. Raises ValueError for more."""
        count = check_count(n)
        if count * math.prod(self.image_shape) > MAX_RESULT_NUMBERS:
            raise ValueError(f"n: {count} images at once fit into no memory; see stream")
        return count

    def _images(self, images: ImageSource) -> Float32:
        # Arrays of the right shape, the most frequent case, take no detour.
        if type(images) is np.ndarray and images.shape[1:] == self.image_shape:
            return check_images(images, self.image_shape)
        return self.read(images)

    def _for_shape(
        self, array: ArrayLike | ImageSource, shape: tuple[int, ...], stride: tuple[int, int]
    ) -> VAE:
        """The model for an array (N, C, h, w) that differs from `shape` in size alone.

        `stride` is that of the images over such arrays.
        """
        found: tuple[int, ...] = array.shape if isinstance(array, np.ndarray) else ()
        if len(found) != 4 or found[1] != shape[0] or found[1:] == shape or 0 in found:
            return self
        return self.of_size(found[2] * stride[0], found[3] * stride[1])

    def _encoded(self, images: ImageSource, inference: Inference) -> tuple[Float32, Float32]:
        """z_mean and z_log_var, each (N, D), whatever shape the latents have."""
        array = self._images(images)
        z_mean, z_log_var = self._encoder(array)
        if one_of(inference, "inference", INFERENCES) == "encoder":
            return z_mean, z_log_var
        refined = self._posterior.refined(array, self._drawable(z_mean, z_log_var))
        return refined.z_mean.astype(np.float32), refined.z_log_var.astype(np.float32)

    def _sheet(self, images: ArrayLike, columns: int | None, scale: int | None) -> Pixels:
        if columns is not None:
            columns = whole_number(columns, "columns", 1)
        if scale is not None:
            scale = whole_number(scale, "scale", 1, MAX_SCALE)
        tiles = check_tiles(images)
        if tiles.shape[-3:] != self.image_shape:
            raise ValueError(
                f"images of shape {tiles.shape} don't end in the model's {self.image_shape}"
            )
        if tiles.ndim == 5 and columns is None:
            # A grid (rows, columns, C, H, W) keeps its columns.
            columns = tiles.shape[1]
        tiles = tiles.reshape(-1, *self.image_shape)
        return sheet(tiles, columns, scale=scale, gap=1)

    def _graphs(self, provider: Provider) -> tuple[Graph, Graph]:
        image = self.image_shape
        any_size = self.bundle.dynamic_size
        z = self.latent_shape if any_size else (self.latent_dim,)
        encoder = BundleGraph(
            self.storage,
            self.variant.encoder,
            {"image": image},
            {"z_mean": z, "z_log_var": z},
            provider,
            self.threads,
            any_size=any_size,
            batch=self.variant.batch,
        )
        decoder = BundleGraph(
            self.storage,
            self.variant.decoder,
            {"z": z},
            {"image": image},
            provider,
            self.threads,
            any_size=any_size,
            batch=self.variant.batch,
        )
        if any_size:
            return FlatLatents(encoder), FlatLatents(decoder)
        return encoder, decoder

    def _stream_draws(
        self, n: int, rng: np.random.Generator, source: SampleSource, temperature: float
    ) -> Iterator[Float32]:
        for start in range(0, n, STREAM_CHUNK):
            count = min(STREAM_CHUNK, n - start)
            yield self.decode(self._draw(count, rng, source, temperature))

    def _stream_latents(self, z: Float32) -> Iterator[Float32]:
        for start in range(0, len(z), STREAM_CHUNK):
            yield self.decode(z[start : start + STREAM_CHUNK])

    def _direction(
        self, add: str | None, remove: str | None, direction: ArrayLike | None
    ) -> Float64:
        if direction is None:
            return self.concept(add, remove)
        if add is not None or remove is not None:
            raise ValueError("a direction excludes labels to add and to remove")
        return self._one_latent(direction).astype(np.float64)

    def _latents(self, z: ArrayLike) -> Float32:
        """Latents (N, D), (N, *latent_shape), or one of them -> (N, D) float32."""
        if self.bundle.has_spatial_latents:
            return check_latents_of_shape(z, self.latent_shape)
        return check_latents(z, self.latent_dim)

    def _place(self, z_or_label: ArrayLike) -> Float64:
        """A latent (D,), or the purest place of a label."""
        if isinstance(z_or_label, str | int):
            label = str(z_or_label)
            latent_labels.require_label(self.labels, label)
            return np.array(latent_labels.purest_place(self.labels, label))
        return self._one_latent(z_or_label).astype(np.float64)

    def _one_latent(self, z: ArrayLike) -> Float32:
        latents = self._latents(z)
        if len(latents) != 1:
            wanted = ", ".join(map(str, self.latent_shape))
            raise ValueError(f"one latent ({wanted}) was expected, not {np.shape(z)}")
        one: Float32 = latents[0]
        return one

    def _bounds(self, images: Float32, samples: int, seed: int | np.random.Generator) -> Float64:
        """The ELBO, or with more samples the importance-weighted bound, of (N, C, H, W): (N,)."""
        number = seed_number(seed)
        source = generator(seed) if number is None else number
        scores = [np.empty(0)]
        images_at_once = max(1, SCORE_CHUNK // samples)
        for start in range(0, len(images), images_at_once):
            some = images[start : start + images_at_once]
            epsilon = draws_of(some, samples, self.latent_dim, source)
            q = self._drawable(*self._encoder(some))
            scores.append(self._posterior.bound(some, q, epsilon))
        return np.concatenate(scores)

    def _drawable(self, z_mean: Float32, z_log_var: Float32) -> Gaussians:
        """The encoder's Gaussians. Raises BundleError for some whose draws nothing decodes."""
        q = Gaussians(z_mean.astype(np.float64), z_log_var.astype(np.float64))
        with np.errstate(over="ignore"):
            reach = np.abs(q.z_mean) + FARTHEST_DRAW * np.exp(0.5 * q.z_log_var)
        if not reach.max(initial=0) <= MAX_DRAWN_LATENT:
            raise BundleError(
                f"{self.path}: its encoder gives a log variance of {z_log_var.max():.3g}, which "
                "no latent can be drawn with"
            )
        return q

    def _draw(
        self, n: int, rng: np.random.Generator, source: SampleSource, temperature: float
    ) -> Float64:
        """n latents (n, D) from the prior or from the density of the data."""
        if not finite_number(temperature, "temperature") > 0:
            raise ValueError(f"the temperature must be positive, not {temperature:g}")
        if one_of(source, "source", SAMPLE_SOURCES) == "prior":
            draws: Float64 = np.sqrt(temperature) * rng.standard_normal((n, self.latent_dim))
            return draws
        if not self.bundle.density:
            raise ValueError(
                f"{self.path}: this bundle has no density of its data; export it again, or sample "
                'from source="prior"'
            )
        return draw_mixture(self.bundle.density, n, rng, temperature)


def _decode_by(graph: Graph) -> Decode:
    """The decoder as a function that doesn't keep its VAE alive."""

    def decode(z: Float64) -> Float32:
        (images,) = graph(z.astype(np.float32))
        return images

    return decode


def _rebuilt(arguments: dict[str, Any]) -> VAE:
    """What pickle calls."""
    return VAE(**arguments)


def _check_provider(provider: Any, precision: Any, options: Any) -> None:
    word(provider, "provider")
    word(precision, "precision")
    if not isinstance(options, Mapping | None):
        raise TypeError(f"provider_options must be a mapping, not {type(options).__name__}")


def _checked_size(size: Any) -> tuple[int, int]:
    height, width = pair(size, "size")
    return whole_number(height, "height", 1), whole_number(width, "width", 1)


def _check_threads(threads: Any) -> None:
    if threads is None:
        return
    is_count = isinstance(threads, int) and not isinstance(threads, bool)
    if not is_count or not 1 <= threads <= MAX_THREADS:
        raise ValueError(
            f"threads must be a whole number, 1 or more, up to {MAX_THREADS}, not {shown(threads)}"
        )
