"""The API: a VAE loaded from its bundle. numpy in, numpy out; stateless per call."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vae_runtime import latent_space, likelihood
from vae_runtime.arrays import check_images, check_latents, load_numpy
from vae_runtime.bundle import CHECK_FILE, Bundle, Label, read_bundle
from vae_runtime.errors import BundleError, VAEError
from vae_runtime.precision import choose_precision
from vae_runtime.providers import CPU, resolve
from vae_runtime.session import Graph
from vae_runtime.threads import default_threads

Array = NDArray[np.float32]
EMBEDDED = Path(__file__).parent / "models" / "digits.vae"
STREAMED = 1024  # images per chunk of a stream
CHECKED = ("images", "latents", "z_mean", "z_log_var", "decoded")  # in check.npz
CHECK_TOLERANCE = 1e-4  # relative to the output's largest magnitude; fp32 sums differ between machines


def load(
    path: str | os.PathLike[str] | None = None,
    *,
    provider: str = "auto",
    precision: str = "fp32",
    threads: int | None = None,
    provider_options: Mapping[str, Any] | None = None,
) -> VAE:
    """Load a bundle, by default the embedded model of handwritten digits.

    `provider` is "auto", "cpu", "cuda", "cuda:N" or onnxruntime's name of one; `precision` "fp32", "int8" or "auto";
    `threads` None follows CPU affinity, cgroup limit and OMP_NUM_THREADS. Raises BundleError for a missing or damaged
    bundle, ProviderError for a provider that cannot run, ValueError and TypeError for a wrong argument. A damaged graph
    is found when it is first used; `VAE.verify` looks at all of them at once.
    """
    return VAE(EMBEDDED if path is None else path, provider, precision, threads, provider_options)


class VAE:
    """A variational autoencoder on onnxruntime; see `load`. Share it between threads, pickle it, fork."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        provider: str = "auto",
        precision: str = "fp32",
        threads: int | None = None,
        provider_options: Mapping[str, Any] | None = None,
    ) -> None:
        if threads is not None and (not isinstance(threads, int) or isinstance(threads, bool) or threads < 1):
            raise ValueError(f"threads must be a whole number, 1 or more, not {threads!r}")
        self.path = Path(path).absolute()  # sessions are built later, perhaps in another folder
        self._arguments = (self.path, provider, precision, threads, provider_options)
        self.bundle: Bundle = read_bundle(self.path)
        self.threads = threads or default_threads()
        chosen = resolve(provider, provider_options)
        self.precision, self.precision_reason = choose_precision(precision, self.bundle, chosen.name)
        self.variant = self.bundle.variant(self.precision, chosen.name)
        self.provider = chosen.name
        image, z = self.image_shape, (self.latent_dim,)
        self._encoder = Graph(
            self.path, self.variant.encoder, {"image": image}, {"z_mean": z, "z_log_var": z}, chosen, self.threads
        )
        self._decoder = Graph(self.path, self.variant.decoder, {"z": z}, {"image": image}, chosen, self.threads)
        if chosen.name != CPU:
            self._decoder.verify()  # an accelerator may refuse only now

    def __reduce__(self) -> tuple[Any, ...]:
        return VAE, self._arguments

    def __repr__(self) -> str:
        return f"<VAE {self.path.name}: {self.latent_dim} latents, images {self.image_shape}, {self.provider}>"

    def __enter__(self) -> VAE:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the sessions and their threads. The next call builds them again."""
        self._encoder.close()
        self._decoder.close()

    def verify(self) -> None:
        """Build both sessions, which checks the graphs' hashes, names, shapes and dtypes, and read check.npz.

        Raises BundleError.
        """
        self._encoder.verify()
        self._decoder.verify()
        self._stored_check()

    @property
    def latent_dim(self) -> int:
        return self.bundle.latent_dim

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return self.bundle.image_shape

    @property
    def labels(self) -> Mapping[str, Label]:
        """What the training images of each label look like in latent space; empty for a bundle without labels."""
        return self.bundle.labels

    @property
    def info(self) -> dict[str, Any]:
        """What is loaded: path, shapes, provider, precision and why, threads, training."""
        return {
            "path": str(self.path),
            "latent_dim": self.latent_dim,
            "image_shape": list(self.image_shape),
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

    def decode(self, z: ArrayLike) -> Array:
        """Latents (N, D) -> images (N, C, H, W) float32 in [0, 1].

        Raises ValueError for another width, NaN or infinity, TypeError for what isn't numbers.
        """
        (images,) = self._decoder(check_latents(z, self.latent_dim))
        return images

    def encode(self, images: ArrayLike) -> tuple[Array, Array]:
        """Images -> z_mean and z_log_var, each (N, D) float32; the posterior's variance is exp(z_log_var).

        Takes (N, C, H, W), for one channel also (N, H, W) and (H, W); float in [0, 1] or uint8. Raises ValueError
        for other shapes and values, TypeError for another dtype.
        """
        z_mean, z_log_var = self._encoder(check_images(images, self.image_shape))
        return z_mean, z_log_var

    def reconstruct(self, images: ArrayLike) -> Array:
        """decode(z_mean) of the images: (N, C, H, W) float32 in [0, 1]."""
        return self.decode(self.encode(images)[0])

    def sample(self, n: int, *, seed: int | None = None) -> Array:
        """n images decoded from the prior, (n, C, H, W); the same seed gives the same bytes."""
        return self.decode(np.random.default_rng(seed).standard_normal((_count(n), self.latent_dim)))

    def stream(self, z_or_n: ArrayLike, *, seed: int | None = None) -> Iterator[Array]:
        """Decode latents (N, D), or n draws from the prior, in chunks (k, C, H, W); memory stays constant.

        The chunks together are what `decode` and `sample` return.
        """
        if np.ndim(z_or_n) == 0:
            n = _count(z_or_n)
            random = np.random.default_rng(seed)
            return (
                self.decode(random.standard_normal((min(STREAMED, n - start), self.latent_dim)))
                for start in range(0, n, STREAMED)
            )
        z = check_latents(z_or_n, self.latent_dim)
        return (self.decode(z[start : start + STREAMED]) for start in range(0, len(z), STREAMED))

    def grid(
        self,
        n: int = 15,
        *,
        axes: tuple[int, int] = (0, 1),
        quantiles: tuple[float, float] | None = None,
        limits: tuple[float, float] | None = None,
        anchor: ArrayLike | None = None,
    ) -> Array:
        """Walk two latent axes: (n, n, C, H, W); row i has z[axes[1]] = axis[i], column j z[axes[0]] = axis[j].

        The axis is the inverse normal CDF of n points over `quantiles` (default 0.05 … 0.95, as in the book), or n
        points over `limits` in latent units; the other dimensions are `anchor` (D,), default zeros.
        """
        points = latent_space.axis_points(_count(n), quantiles, limits)
        centre = np.zeros(self.latent_dim) if anchor is None else self._one_latent(anchor)
        z = latent_space.grid(points, points, axes, np.asarray(centre, np.float64))
        return self.decode(z).reshape(n, n, *self.image_shape)

    def interpolate(self, z_a: ArrayLike, z_b: ArrayLike, steps: int, *, mode: str = "linear") -> Array:
        """Images (steps, C, H, W) on the path between two latents (D,), both ends included.

        `mode` is "linear" or "spherical" (which keeps the distance to the origin, where high-dimensional latents lie).
        """
        ends = [self._one_latent(z).astype(np.float64) for z in (z_a, z_b)]
        return self.decode(latent_space.path(ends[0], ends[1], steps, mode))

    def edit(
        self, images: ArrayLike, *, add: str | None = None, remove: str | None = None, strength: float = 1.0
    ) -> Array:
        """decode(z_mean + strength · (mean[add] - mean[remove])); a label left out stands for the mean of all.

        Raises ValueError for a label that the bundle doesn't have.
        """
        z_mean, _ = self.encode(images)
        return self.decode(z_mean + strength * self.concept(add, remove))

    def concept(self, add: str | None = None, remove: str | None = None) -> NDArray[np.float64]:
        """The direction (D,) from one label's mean latent to another's; left out is the mean of all."""
        if add is None and remove is None:
            raise ValueError("a concept needs a label to add or to remove")
        return self.label_mean(add) - self.label_mean(remove)

    def sample_label(self, label: str, n: int, *, seed: int | None = None, temperature: float = 0.1) -> Array:
        """n images of one label, (n, C, H, W); see `latent_space.draw_label` for the temperature."""
        random = np.random.default_rng(seed)
        return self.decode(latent_space.draw_label(self.labels, str(label), _count(n), random, temperature))

    def score(self, images: ArrayLike, *, samples: int = 1, seed: int | np.random.Generator = 0) -> NDArray[np.float64]:
        """The ELBO of each image in nats, (N,); higher is better. BCE on grey values is no density: no bits per pixel.

        samples > 1 gives the importance-weighted bound (Burda et al. 2016, equation 8), which rises with samples
        towards log p(x). Images scored in parts with one Generator as `seed` get the scores of a single call.
        """
        if samples < 1:
            raise ValueError(f"samples must be at least 1, not {samples}")
        array = check_images(images, self.image_shape)
        random = np.random.default_rng(seed)
        parts = [np.empty(0)]
        per_chunk = max(1, STREAMED // samples)
        for start in range(0, len(array), per_chunk):
            chunk = array[start : start + per_chunk]
            z_mean, z_log_var = (np.asarray(v, np.float64) for v in self._encoder(chunk))
            epsilon = random.standard_normal((len(chunk), samples, self.latent_dim))
            z = z_mean[:, None] + np.exp(0.5 * z_log_var)[:, None] * epsilon
            log_p = self._log_likelihood(chunk, z)
            parts.append(likelihood.bound(log_p, z, z_mean, z_log_var, epsilon))
        return np.concatenate(parts)

    def check(self) -> dict[str, float]:
        """Compare check.npz on this device: the largest difference of each output from torch's.

        Raises VAEError naming the output and the difference when one is beyond the tolerance, BundleError when the
        file is missing or damaged.
        """
        stored = self._stored_check()
        z_mean, z_log_var = self.encode(stored["images"])
        found = {"z_mean": z_mean, "z_log_var": z_log_var, "decoded": self.decode(stored["latents"])}
        differences = {}
        for name, array in found.items():
            if array.shape != stored[name].shape:
                raise BundleError(f"{self.path / CHECK_FILE}: {name} has the shape {stored[name].shape}")
            differences[name] = float(np.abs(array - stored[name]).max())
            allowed = self._allowed(name) * max(1.0, float(np.abs(stored[name]).max()))
            if not differences[name] <= allowed:
                raise VAEError(
                    f"{self.path}: {name} differs from torch by {differences[name]:.3g} on {self.provider}, "
                    f"more than {allowed:.3g}"
                )
        return differences

    def _allowed(self, name: str) -> float:
        """fp32 must agree; a quantised variant may be twice as far off as the exporter measured."""
        part = self.variant.parity.get("decoder" if name == "decoded" else "encoder", {})
        measured = part.get("largest") if isinstance(part, dict) else None
        if self.variant.precision == "fp32" or not isinstance(measured, int | float):
            return CHECK_TOLERANCE
        return 2 * float(measured)

    def _stored_check(self) -> dict[str, NDArray[Any]]:
        try:
            return {key: load_numpy(self.path / CHECK_FILE, key) for key in CHECKED}
        except VAEError as error:
            raise BundleError(str(error)) from None

    def _one_latent(self, z: ArrayLike) -> Array:
        latents = check_latents(z, self.latent_dim)
        if len(latents) != 1:
            raise ValueError(f"one latent ({self.latent_dim},) was expected, not {np.shape(z)}")
        one: Array = latents[0]
        return one

    def _log_likelihood(self, images: Array, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """log p(images | z) for images (N, C, H, W) and latents (N, K, D), (N, K); decodes 1,024 at a time."""
        parts = []
        at_once = max(1, STREAMED // len(images))
        for start in range(0, z.shape[1], at_once):
            some = z[:, start : start + at_once]
            decoded = self.decode(some.reshape(-1, self.latent_dim)).reshape(*some.shape[:2], *self.image_shape)
            parts.append(likelihood.log_likelihood(images[:, None], decoded, self.bundle.likelihood))
        return np.concatenate(parts, axis=1)

    def label_mean(self, label: str | None = None) -> NDArray[np.float64]:
        """The mean latent (D,) of a label's training images, None for all of them. Raises ValueError without it."""
        if not self.labels:
            raise ValueError(f"{self.path}: this bundle was exported without labels, so it has no concepts")
        if label is None:
            counts = [v.count for v in self.labels.values()]
            return np.average([v.mean for v in self.labels.values()], axis=0, weights=counts)
        if str(label) not in self.labels:
            raise ValueError(f"no label {label!r} in this bundle; it has {', '.join(self.labels)}")
        return np.array(self.labels[str(label)].mean)


def _count(n: Any) -> int:
    try:
        if not isinstance(n, bool) and int(n) == n and n >= 0:
            return int(n)
    except (TypeError, ValueError, OverflowError):
        pass
    raise ValueError(f"a number of images must be a whole number, 0 or more, not {n!r}")
